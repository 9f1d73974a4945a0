// The results as a grid of pictures: one stop of the tab key, walked with the arrows.
import { showPicture, withQuery } from "./api";
import type { Card } from "./card";
import { isPlaced } from "./card";
import { button, h, icon, replace } from "./dom";
import type { Verdict } from "./types";
import { formatDay, formatRelevance, shortName } from "./format";
import { texts } from "./language";
import { fixed } from "./numbers";

export type Mark = "right" | "wrong";

export interface Grid {
  element: HTMLElement;
  show: (cards: Card[], options: { weak: boolean; threshold: number }) => void;
  showSkeletons: () => void;
  hover: (key: string) => void;
  select: (key: string) => void;
  mark: (right: string[], wrong: string[]) => void;
  review: (verdicts: Map<string, Verdict>) => void;
  focus: (key?: string) => boolean;
  focusedKey: () => string | null;
}

interface Actions {
  hover: (key: string) => void;
  select: (key: string) => void;
  browse: (key: string) => void;
  mark: (key: string, mark: Mark) => void;
}

const PICTURE_PX = 256;
const SKELETONS = 12;

export function createGrid(actions: Actions): Grid {
  const list = h("ul", { class: "grid", id: "grid", "aria-label": texts.grid.label, onkeydown: walk });
  let shown = new Map<string, HTMLElement>();
  let current = "";

  const opener = (item: HTMLElement | undefined): HTMLButtonElement | null => item?.querySelector(".open") ?? null;

  function makeCurrent(key: string): void {
    const before = opener(shown.get(current));
    if (before) before.tabIndex = -1;
    current = key;
    const now = opener(shown.get(key));
    if (now) now.tabIndex = 0;
  }

  function focus(key?: string): boolean {
    const wanted = key ?? (shown.has(current) ? current : [...shown.keys()][0]);
    const target = wanted === undefined ? null : opener(shown.get(wanted));
    if (!target || wanted === undefined) return false;
    makeCurrent(wanted);
    target.focus({ preventScroll: true });
    target.closest("li")?.scrollIntoView({ block: "nearest" });
    return true;
  }

  function walk(event: KeyboardEvent): void {
    const keys = [...shown.keys()];
    const at = keys.indexOf(current);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const columns = getComputedStyle(list).gridTemplateColumns.split(" ").length;
    const steps: Record<string, number> = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      ArrowDown: at + columns,
      ArrowUp: at - columns,
      Home: 0,
      End: keys.length - 1,
    };
    const to = steps[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const key = keys[to];
    if (key === undefined) return;
    focus(key);
    actions.browse(key);
  }

  function draw(card: Card, threshold: number): HTMLElement {
    const image = h("img", { alt: "", width: PICTURE_PX, height: PICTURE_PX, loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => image.closest(".picture")?.classList.add("broken"));
    image.addEventListener("load", () => image.closest(".picture")?.classList.add("loaded"));
    void showPicture(image, withQuery(card.picture, { size: PICTURE_PX }));
    const relevance = formatRelevance(card.relevance);
    const seen = card.dates.length > 1 ? texts.grid.seen(card.dates.length) : "";
    const tiles = card.nTiles > 1 ? texts.tiles(card.nTiles) : "";
    const name = [
      card.rank === null ? "" : texts.grid.result(card.rank),
      shortName(card.scene),
      formatDay(card.date),
      relevance && texts.grid.relevance(relevance),
      seen,
      isPlaced(card) ? "" : texts.units.noPlace,
    ]
      .filter(Boolean)
      .join(texts.comma);
    const open = h(
      "button",
      {
        type: "button",
        class: "open",
        tabindex: -1,
        "aria-label": name,
        "data-name": name,
        onclick: () => {
          makeCurrent(card.key);
          actions.select(card.key);
        },
        onfocus: () => {
          makeCurrent(card.key);
          actions.hover(card.key);
        },
        onblur: () => actions.hover(""),
      },
      h("span", { class: "picture" }, image),
      card.rank !== null && h("span", { class: "rank" }, String(card.rank)),
    );
    // Beside the button, whose name says the same in other words.
    const badges = h(
      "span",
      { class: "badges", "aria-hidden": "true" },
      seen && h("span", { class: "badge" }, texts.grid.days(card.dates.length)),
      !isPlaced(card) && h("span", { class: "badge" }, texts.units.noPlace),
    );
    const bar = h("span", { class: "meter", "aria-hidden": "true" }, h("span", {}));
    bar.hidden = card.relevance === null;
    (bar.firstElementChild as HTMLElement).style.width = `${100 * (card.relevance ?? 0)}%`;
    bar.classList.toggle("low", card.relevance !== null && card.relevance < threshold);
    const vote = (mark: Mark): HTMLButtonElement => {
      const element = button({ icon: mark === "right" ? "up" : "down", label: texts.grid[mark], iconOnly: true }, () =>
        actions.mark(card.key, mark),
      );
      element.classList.add("vote", mark);
      element.tabIndex = -1; // y and n do the same for the focused card, so that the grid stays one stop
      element.setAttribute("aria-pressed", "false");
      return element;
    };
    return h(
      "li",
      {
        class: "card",
        "data-key": card.key,
        "data-unplaced": !isPlaced(card),
        onpointerenter: () => actions.hover(card.key),
        onpointerleave: () => actions.hover(""),
      },
      h("div", { class: "shown" }, open, badges),
      h("div", { class: "votes" }, vote("right"), vote("wrong")),
      h(
        "div",
        { class: "caption" },
        h(
          "div",
          { class: "facts" },
          h("span", { class: "what", title: card.scene }, shortName(card.scene)),
          h("span", { class: "when" }, [formatDay(card.date), tiles].filter(Boolean).join(" · ")),
        ),
        h("div", { class: "relevance" }, bar, h("span", { class: "number" }, relevance || (card.score === null ? "" : fixed(card.score, 3)))),
      ),
    );
  }

  function each(change: (item: HTMLElement, key: string) => void): void {
    for (const [key, item] of shown) change(item, key);
  }

  return {
    element: list,
    focus,
    focusedKey: () => (document.activeElement?.closest("li.card") as HTMLElement | null)?.dataset.key ?? null,
    show: (cards, { weak, threshold }) => {
      const focused = list.contains(document.activeElement);
      shown = new Map(cards.map((card) => [card.key, draw(card, threshold)]));
      list.classList.toggle("weak", weak);
      list.removeAttribute("aria-hidden");
      replace(list, ...shown.values());
      makeCurrent(shown.has(current) ? current : (cards[0]?.key ?? ""));
      if (focused && !focus()) (document.getElementById("q") as HTMLElement).focus();
    },
    showSkeletons: () => {
      shown = new Map();
      list.setAttribute("aria-hidden", "true");
      replace(
        list,
        ...Array.from({ length: SKELETONS }, () =>
          h("li", { class: "card skeleton" }, h("span", { class: "picture" }), h("div", { class: "caption" })),
        ),
      );
    },
    hover: (key) => each((item, own) => item.classList.toggle("hovered", own === key)),
    select: (key) =>
      each((item, own) => {
        item.classList.toggle("selected", own === key);
        const open = opener(item);
        if (own === key) open?.setAttribute("aria-current", "true");
        else open?.removeAttribute("aria-current");
      }),
    review: (verdicts) =>
      each((item, key) => {
        const verdict = verdicts.get(key);
        if (verdict) item.dataset.verdict = verdict;
        else delete item.dataset.verdict;
        const open = opener(item);
        if (!open) return;
        const said = verdict && texts.review.badges[verdict];
        const name = open.dataset.name ?? "";
        if (said) open.dataset.said = said;
        open.setAttribute("aria-label", said ? `${name}${texts.comma}${texts.grid.reviewed(said)}` : name);
      }),
    mark: (right, wrong) =>
      each((item, key) => {
        for (const [mark, keys] of [
          ["right", right],
          ["wrong", wrong],
        ] as const) {
          item.classList.toggle(mark, keys.includes(key));
          item.querySelector(`.vote.${mark}`)?.setAttribute("aria-pressed", String(keys.includes(key)));
        }
      }),
  };
}

/** Pictures of what the index holds, for the page before a search. */
export function drawScene(
  scene: { scene: string; date: string | null; n_tiles: number; bbox: unknown; overview: string },
  onclick: () => void,
): HTMLElement {
  const image = h("img", { alt: "", loading: "lazy" });
  void showPicture(image, withQuery(scene.overview, { max_px: 256 }));
  const placed = scene.bbox !== null;
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", class: "scene", onclick, disabled: !placed, title: placed ? texts.start.locate : null },
      h("span", { class: "thumb" }, image),
      h(
        "span",
        { class: "facts" },
        h("span", { class: "what" }, shortName(scene.scene)),
        h("span", { class: "when" }, `${formatDay(scene.date)} · ${texts.tiles(scene.n_tiles)}`),
        !placed && h("span", { class: "when" }, texts.units.noPlace),
      ),
      placed && icon("pin"),
    ),
  );
}
