// One result, closely: picture, surroundings, why it was found, where and when it is, and what to do with it.
import { explanationUrl, showPicture, withQuery } from "./api";
import type { Card } from "./card";
import { inScene, isPlaced } from "./card";
import { button, h, replace } from "./dom";
import {
  formatDay,
  formatGsd,
  formatPosition,
  formatRelevance,
  plainPosition,
  shortName,
} from "./format";
import type { Mark } from "./grid";
import { texts } from "./language";
import { fixed } from "./numbers";
import { drawTimeline } from "./timeline";
import type { Comparison } from "./state";
import { NO_DAY } from "./state";
import type { Sight } from "./types";

export interface Detail {
  element: HTMLElement;
  show: (card: Card, state: DetailState) => void;
  hide: () => void;
  update: (state: DetailState) => void;
  focus: () => void;
}

export interface DetailState {
  why: boolean;
  /** The words that a heat map explains; nothing for a search without words. */
  words: string;
  mark: Mark | null;
  position: string;
  /** Its ground through the days; the first of it is told late. */
  sights: Sight[];
  /** The scene in which the ground is shown. */
  day: string;
  comparison: Comparison;
  /** Whether the days are shown one after the other by themselves. */
  playing: boolean;
}

interface Actions {
  close: () => void;
  mark: (key: string, mark: Mark) => void;
  alike: (key: string) => void;
  why: (on: boolean) => void;
  locate: (card: Card) => void;
  copyLink: () => void;
  copyPosition: (text: string) => void;
  step: (by: number) => void;
  day: (scene: string) => void;
  compare: (comparison: Partial<Comparison>) => void;
  play: (on: boolean) => void;
}

const PICTURE_PX = 512;

export function createDetail(review: HTMLElement, actions: Actions): Detail {
  let card: Card | null = null;
  /** What is shown of the card: its own tile, or the same ground in another scene. */
  let shown: (Card & { tile: string }) | null = null;
  let surroundings = false;
  let state: DetailState = {
    why: false,
    words: "",
    mark: null,
    position: "",
    sights: [],
    day: "",
    comparison: NO_DAY,
    playing: false,
  };

  const title = h("h2", { tabindex: -1 });
  const counter = h("span", { class: "counter" });
  const image = h("img", { class: "base", width: PICTURE_PX, height: PICTURE_PX });
  const heat = h("img", { class: "heat", alt: "", "aria-hidden": "true", hidden: true });
  const heatNote = h("p", { class: "note", hidden: true });
  const other = h("img", { class: "other", alt: "", hidden: true });
  const figure = h("div", { class: "figure" }, image, other, heat);
  const why = button({ icon: "heat", label: texts.detail.why }, () => actions.why(!state.why));
  why.id = "why";
  const around = button({ icon: "fit", label: texts.detail.surroundings }, () => {
    surroundings = !surroundings;
    drawPicture();
    drawOther();
  });
  const strength = h("input", {
    type: "range",
    min: 0,
    max: 100,
    value: 65,
    "aria-label": texts.detail.strength,
    oninput: () => {
      heat.style.opacity = String(strength.valueAsNumber / 100);
    },
  });
  heat.style.opacity = "0.65";
  const facts = h("dl", { class: "fact-list" });
  const timeline = h("div", {});
  const vote = (mark: Mark): HTMLButtonElement => {
    const element = button(
      { icon: mark === "right" ? "up" : "down", label: texts.detail[mark] },
      () => {
        if (card) actions.mark(card.key, mark);
      },
    );
    element.classList.add("vote", mark);
    return element;
  };
  const votes = { right: vote("right"), wrong: vote("wrong") };
  const locate = button({ icon: "pin", label: texts.detail.locate }, () => card && actions.locate(card));
  const copyPosition = button({ icon: "pin", label: texts.detail.copyPosition }, () => {
    if (card?.position) actions.copyPosition(plainPosition(card.position));
  });
  const panel = h(
    "aside",
    { class: "detail", id: "detail", "aria-label": texts.detail.label, hidden: true },
    h(
      "header",
      {},
      title,
      counter,
      button({ icon: "more", label: texts.detail.previous, iconOnly: true, className: "previous" }, () => actions.step(-1)),
      button({ icon: "more", label: texts.detail.next, iconOnly: true, className: "next" }, () => actions.step(1)),
      button({ icon: "close", label: texts.detail.close, iconOnly: true }, actions.close),
    ),
    h(
      "div",
      { class: "body" },
      review,
      figure,
      h("div", { class: "row" }, why, around, strength),
      heatNote,
      h(
        "div",
        { class: "row verdict" },
        h("span", { class: "ask" }, texts.detail.ask),
        votes.right,
        votes.wrong,
      ),
      timeline,
      facts,
      h(
        "div",
        { class: "row actions" },
        button({ icon: "alike", label: texts.detail.alike }, () => shown && actions.alike(shown.tile)),
        locate,
        button({ icon: "link", label: texts.copyLink }, actions.copyLink),
        copyPosition,
      ),
    ),
  );
  heat.addEventListener("load", () => figure.classList.remove("busy"));
  heat.addEventListener("error", () => {
    figure.classList.remove("busy");
    if (!heat.hidden) note(texts.detail.noHeat);
    heat.hidden = true;
  });

  function note(text: string): void {
    heatNote.textContent = text;
    heatNote.hidden = !text;
  }

  function drawPicture(): void {
    if (!shown || !card) return;
    image.alt = texts.detail.picture(shortName(shown.scene), formatDay(shown.date));
    void showPicture(image, withQuery(shown.picture, { size: PICTURE_PX, ...(surroundings ? { context: 1 } : {}) }));
    around.setAttribute("aria-pressed", String(surroundings));
    // The heat map belongs to the tile: over its surroundings it takes the middle half.
    figure.classList.toggle("wide", surroundings);
    why.setAttribute("aria-pressed", String(state.why));
    const explains = state.why && Boolean(state.words);
    strength.hidden = !explains;
    heat.hidden = !explains;
    note(
      explains
        ? texts.detail.warm(state.words)
        : state.why
          ? texts.detail.needsWords
          : "",
    );
    if (!explains) {
      figure.classList.remove("busy");
      heat.removeAttribute("src");
      return;
    }
    figure.classList.add("busy");
    void showPicture(heat, explanationUrl(shown.picture, state.words, PICTURE_PX));
  }

  function drawFacts(): void {
    if (!card || !shown) return;
    // What was found is the tile of one day; of others there is only what was found there as well.
    const found = shown.sceneId === card.sceneId ? card : card.sightings.find((own) => own.scene_id === shown!.sceneId);
    const names = texts.detail.facts;
    const rows: [string, string][] = [
      [names.place, card.position ? formatPosition(card.position) : texts.units.noPlace],
      [names.date, formatDay(shown.date)],
      [names.sensor, shown.sensor ?? ""],
      [names.relevance, formatRelevance(found?.relevance ?? null)],
      [names.score, typeof found?.score === "number" ? fixed(found.score, 4) : ""],
      [names.resolution, formatGsd(shown.gsdM)],
      [names.extent, card.nTiles > 1 ? texts.tiles(card.nTiles) : ""],
      [names.scene, shown.scene],
      [names.tile, shown.tile],
    ];
    const filled = rows.filter(([, value]) => value);
    replace(facts, ...filled.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }

  function chooseShown(): void {
    if (!card) return;
    const sight = state.sights.find((own) => own.scene_id === (state.day || card!.sceneId));
    shown = sight ? { ...inScene(card, sight), tile: sight.tile } : { ...card, tile: card.key };
  }

  function drawTimes(): void {
    if (!card || !shown) return;
    const relevances = new Map(card.sightings.map((own) => [own.scene_id, formatRelevance(own.relevance)]));
    const days = { sights: state.sights, shown: shown.sceneId, comparison: state.comparison, playing: state.playing };
    const focused = timeline.contains(document.activeElement) ? (document.activeElement as HTMLElement) : null;
    const [id, scene] = [focused?.id, focused?.dataset.scene];
    const scrolled = timeline.querySelector(".sightings")?.scrollLeft ?? 0;
    const drawn = drawTimeline(days, (sight) => relevances.get(sight.scene_id) ?? "", {
      show: actions.day,
      compare: actions.compare,
      play: actions.play,
    });
    replace(timeline, drawn);
    timeline.querySelector(".sightings")?.scrollTo(scrolled, 0);
    const again = id ? document.getElementById(id) : scene ? timeline.querySelector(`[data-scene="${scene}"]`) : null;
    (again as HTMLElement | null)?.focus();
  }

  /** The other day lies over the picture, as it does over the map. */
  function drawOther(): void {
    const { against, split, fade } = state.comparison;
    const sight = state.sights.find((own) => own.scene_id === against && against !== shown?.sceneId);
    other.hidden = !sight;
    if (!sight) {
      other.removeAttribute("src");
      return;
    }
    const url = withQuery(sight.picture, { size: PICTURE_PX, ...(surroundings ? { context: 1 } : {}) });
    if (other.dataset.asked !== url) void showPicture(other, url);
    other.dataset.asked = url;
    other.style.clipPath = `inset(0 0 0 ${split}%)`;
    other.style.opacity = String(fade / 100);
    other.alt = texts.detail.other(formatDay(sight.date));
  }

  function drawState(): void {
    counter.textContent = state.position;
    for (const mark of ["right", "wrong"] as const)
      votes[mark].setAttribute("aria-pressed", String(state.mark === mark));
  }

  return {
    element: panel,
    focus: () => title.focus({ preventScroll: true }),
    hide: () => {
      panel.hidden = true;
      card = shown = null;
    },
    show: (next, nextState) => {
      state = nextState;
      if (card?.key !== next.key) surroundings = false;
      card = next;
      chooseShown();
      panel.hidden = false;
      title.textContent = next.rank === null ? shortName(next.scene) : texts.grid.result(next.rank);
      locate.hidden = copyPosition.hidden = !isPlaced(next);
      drawPicture();
      drawFacts();
      drawTimes();
      drawOther();
      drawState();
      panel.querySelector(".body")?.scrollTo(0, 0);
    },
    update: (next) => {
      const isOther = next.day !== state.day || next.sights !== state.sights;
      const redraw = isOther || next.why !== state.why || next.words !== state.words;
      const recompare = isOther || next.comparison.against !== state.comparison.against;
      state = next;
      chooseShown();
      if (redraw) drawPicture();
      if (isOther) drawFacts();
      if (recompare) drawTimes();
      drawOther();
      drawState();
    },
  };
}
