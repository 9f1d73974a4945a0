// The pane of results: what was found in words, what can be done with all of it, and the grid; before a search, the index.
import type { Card } from "./card";
import { button, h, isTouched, replace } from "./dom";
import { formatNumber, formatRelevance } from "./format";
import type { Grid } from "./grid";
import { createGauge } from "./relevance";
import { drawScene } from "./grid";
import type { Question } from "./state";
import type { IndexInfo, Scene, SearchResult } from "./types";

export interface Results {
  element: HTMLElement;
  showStart: (info: IndexInfo | null, scenes: Scene[]) => void;
  showResult: (result: SearchResult, shown: Shown, question: Question, info: IndexInfo | null) => void;
  /** How much is marked, where nothing is searched again for it. */
  showMarks: (question: Question, info: IndexInfo | null) => void;
  showBusy: (first: boolean) => void;
  showTrouble: (trouble: Trouble | null) => void;
  /** Takes away what was found: nothing of an earlier search stands under a later one that failed. */
  clear: () => void;
}

/** What was found, and which of it is shown: that of at least so many percent. */
export interface Shown {
  cards: Card[];
  found: Card[];
  least: number;
}

export interface Trouble {
  text: string;
  action?: string;
  act?: () => void;
}

interface Actions {
  suggest: (text: string) => void;
  begin: (tile: string) => void;
  locateScene: (scene: Scene) => void;
  group: (places: boolean) => void;
  more: () => void;
  least: (percent: number) => void;
  review: () => void;
  keep: () => void;
  save: (format: "geojson" | "csv") => void;
  copyLink: () => void;
  undoMark: () => void;
  clearMarks: () => void;
  saveDetector: () => void;
}

const SCENES_SHOWN = 30;
const SUGGESTED = 8;

export function createResults(grid: Grid, finds: HTMLElement, actions: Actions): Results {
  const summary = h("h2", { class: "summary", tabindex: -1 });
  const detail = h("p", { class: "took" });
  const group = (label: string, places: boolean): HTMLButtonElement =>
    h("button", { type: "button", onclick: () => actions.group(places) }, label);
  const [asPlaces, asTiles] = [group("Places", true), group("Tiles", false)];
  const review = button({ icon: "check", label: "Review", title: "Say yes or no to one result after the other" }, actions.review);
  review.id = "review";
  review.hidden = true;
  const save = button({ icon: "bookmark", label: "Save search", title: "Save this search by a name" }, actions.keep);
  save.id = "save-search";
  const shownAs = h("div", { class: "segmented", role: "group", "aria-label": "Show results as" }, asPlaces, asTiles);
  const toolbar = h(
    "div",
    { class: "toolbar", hidden: true },
    h("div", { class: "told" }, summary, detail),
    shownAs,
    h(
      "div",
      { class: "exports" },
      button({ icon: "download", label: "GeoJSON", title: "Save what is shown as GeoJSON" }, () =>
        actions.save("geojson"),
      ),
      button({ icon: "download", label: "CSV", title: "Save what is shown as a table" }, () => actions.save("csv")),
      button({ icon: "link", label: "Copy link", iconOnly: true }, actions.copyLink),
      save,
      review,
    ),
  );
  const gauge = createGauge(actions.least);
  const refinedText = h("span", {});
  const keep = button({ icon: "save", label: "Save as detector" }, actions.saveDetector);
  const refined = h(
    "div",
    { class: "refined", hidden: true },
    refinedText,
    h("span", { class: "spring" }),
    button({ icon: "undo", label: "Undo" }, actions.undoMark),
    button({ icon: "close", label: "Clear marks" }, actions.clearMarks),
    keep,
  );
  const banner = h("div", { class: "banner", hidden: true });
  const trouble = h("div", { class: "banner trouble", role: "alert", hidden: true });
  const start = h("div", { class: "start" });
  const more = button({ icon: "more", label: "Show more" }, actions.more);
  more.classList.add("more");
  more.hidden = true;
  const element = h(
    "section",
    { class: "results", id: "results", "aria-label": "Results" },
    toolbar,
    finds,
    gauge.element,
    refined,
    trouble,
    banner,
    start,
    grid.element,
    more,
  );

  function showRefined(question: Question, canWrite: boolean): void {
    const [right, wrong] = [question.right.length, question.wrong.length];
    refined.hidden = right + wrong === 0;
    keep.hidden = !canWrite || right === 0;
    refinedText.textContent = `Refined by ${[right && `${right} right`, wrong && `${wrong} wrong`].filter(Boolean).join(", ")}`;
  }

  return {
    element,
    showMarks: (question, info) => showRefined(question, info?.can_write ?? false),
    showBusy: (first) => {
      element.setAttribute("aria-busy", "true");
      if (!first) return;
      start.hidden = true;
      banner.hidden = true;
      more.hidden = true;
      grid.element.hidden = false;
      grid.showSkeletons();
    },
    clear: () => {
      toolbar.hidden = gauge.element.hidden = refined.hidden = true;
      banner.hidden = more.hidden = start.hidden = true;
      grid.element.hidden = true;
    },
    showTrouble: (now) => {
      element.removeAttribute("aria-busy");
      trouble.hidden = !now;
      if (!now) return;
      replace(trouble, h("p", {}, now.text), now.action && now.act && button({ label: now.action }, now.act));
    },
    showStart: (info, scenes) => {
      element.removeAttribute("aria-busy");
      toolbar.hidden = gauge.element.hidden = refined.hidden = true;
      banner.hidden = more.hidden = true;
      grid.element.hidden = true;
      start.hidden = false;
      if (!info) return;
      const held = `${formatNumber(info.n_tiles, "tile")} of ${formatNumber(info.n_scenes, "scene")}`;
      replace(
        start,
        h("h2", {}, "Find places in imagery"),
        h(
          "p",
          { class: "lead" },
          `${invite(info)} ${held} are ready to be searched.`,
        ),
        info.examples.length > 0 &&
          h(
            "div",
            { class: "suggestions" },
            h("h3", {}, "Begin with what is like"),
            h(
              "ul",
              {},
              ...info.examples.map((tile) =>
                h("li", {}, h("button", { type: "button", onclick: () => actions.begin(tile) }, tile)),
              ),
            ),
          ),
        info.suggestions.length > 0 &&
          h(
            "div",
            { class: "suggestions" },
            h("h3", {}, "For example"),
            h(
              "ul",
              {},
              ...info.suggestions
                .slice(0, SUGGESTED)
                .map((text) =>
                  h("li", {}, h("button", { type: "button", onclick: () => actions.suggest(text) }, text)),
                ),
            ),
          ),
        scenes.length > 0 && h("h3", {}, "In this index"),
        h(
          "ul",
          { class: "scenes" },
          ...scenes.slice(0, SCENES_SHOWN).map((scene) => drawScene(scene, () => actions.locateScene(scene))),
        ),
        scenes.length > SCENES_SHOWN &&
          h("p", { class: "note" }, `and ${formatNumber(scenes.length - SCENES_SHOWN, "more scene", "more scenes")}`),
      );
    },
    showResult: (result, { cards, found, least }, question, info) => {
      element.removeAttribute("aria-busy");
      start.hidden = true;
      toolbar.hidden = false;
      grid.element.hidden = false;
      trouble.hidden = true;
      summary.textContent = count(cards, question);
      const took = finds.hidden ? ` searched in ${Math.max(1, Math.round(result.took_ms))} ms` : " in the index";
      detail.textContent = `${countSure(cards, result.threshold)}${formatNumber(result.n_tiles, "tile")}${took}`;
      asPlaces.setAttribute("aria-pressed", String(question.places));
      asTiles.setAttribute("aria-pressed", String(!question.places));
      gauge.show(found, least, result.threshold);
      showRefined(question, info?.can_write ?? false);
      save.hidden = !info?.can_write || question.pictures.length > 0 || !finds.hidden;
      shownAs.hidden = !finds.hidden;
      review.hidden = !info?.can_write || !cards.length;
      banner.hidden = result.matches && cards.length > 0;
      const hidden = found.length > 0 && !cards.length;
      replace(
        banner,
        h("p", {}, hidden ? `None of ${formatNumber(found.length, "result")} has ${least}% or more.` : explainMisses(result, cards)),
      );
      grid.show(cards, { weak: !result.matches, threshold: result.threshold });
      const asked = result.hits.length >= question.k || result.places.length >= question.k;
      more.hidden = !asked || question.k >= (info?.limits.max_k ?? question.k);
    },
  };
}

/** How a search of this index begins. */
function invite(info: IndexInfo): string {
  if (!info.knows_words) return "The embeddings of this index were made elsewhere: it knows places like a tile, and no words.";
  return isTouched()
    ? "Describe what to look for, or choose a picture of it."
    : "Describe what to look for, or drop a picture of it anywhere on this page.";
}

/** How many of the results are likely right, where not all of them are. */
function countSure(cards: Card[], threshold: number): string {
  const sure = cards.filter((card) => (card.relevance ?? 0) >= threshold).length;
  return sure > 0 && sure < cards.length ? `${sure} of them above ${formatRelevance(threshold)} · ` : "";
}

function count(cards: Card[], question: Question): string {
  return formatNumber(cards.length, question.places ? "place" : "tile");
}

/** One line: how much was found, for what. */
export function summarise(result: SearchResult, cards: Card[], question: Question): string {
  const wanted = result.query.described ? ` for ${result.query.described}` : "";
  return `${count(cards, question)}${wanted}`;
}

/** Why nothing is shown, or why what is shown is not what was asked for. */
export function explainMisses(result: SearchResult, cards: Card[]): string {
  if (!cards.length && result.state === "unsure") return capitalise(result.message);
  if (!cards.length) return `No tile passes the filters: ${result.message.replace(/^no tile lies within these limits: /, "")}.`;
  const [best, least] = [formatRelevance(result.relevance), formatRelevance(result.threshold)];
  const asked = result.query.described || "this search";
  if (result.state === "unsure") {
    return best && (result.relevance ?? 0) < result.threshold
      ? `No confident match for ${asked}. The best is at ${best}; a match has ${least} or more.`
      : capitalise(result.message);
  }
  const nothing = `Nothing here matches ${asked}.`;
  return best
    ? `${nothing} Below is what comes closest, at ${best}; a match has ${least} or more.`
    : `${nothing} Below is what comes closest.`;
}

const capitalise = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
