// The pane of results: what was found in words, what can be done with all of it, and the grid; before a search, the index.
import type { Card } from "./card";
import { button, h, isTouched, replace } from "./dom";
import { formatRelevance } from "./format";
import type { Grid } from "./grid";
import { drawScene } from "./grid";
import { createHint, speaksOtherwise } from "./hint";
import { texts } from "./language";
import { count, percent } from "./numbers";
import { createGauge } from "./relevance";
import type { Said } from "./said";
import { join, quoteService } from "./said";
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
  /** What it was found for, in words. */
  asked: string;
}

export interface Trouble {
  text: Said;
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
  const [asPlaces, asTiles] = [group(texts.results.places, true), group(texts.results.tiles, false)];
  const review = button({ icon: "check", label: texts.results.review, title: texts.results.reviewHint }, actions.review);
  review.id = "review";
  review.hidden = true;
  const save = button({ icon: "bookmark", label: texts.results.saveSearch, title: texts.results.saveSearchHint }, actions.keep);
  save.id = "save-search";
  const shownAs = h("div", { class: "segmented", role: "group", "aria-label": texts.results.showAs }, asPlaces, asTiles);
  const toolbar = h(
    "div",
    { class: "toolbar", hidden: true },
    h("div", { class: "told" }, summary, detail),
    shownAs,
    h(
      "div",
      { class: "exports" },
      button({ icon: "download", label: "GeoJSON", title: texts.results.geojson }, () =>
        actions.save("geojson"),
      ),
      button({ icon: "download", label: "CSV", title: texts.results.csv }, () => actions.save("csv")),
      button({ icon: "link", label: texts.copyLink, iconOnly: true }, actions.copyLink),
      save,
      review,
    ),
  );
  const gauge = createGauge(actions.least);
  const hint = createHint(actions.suggest);
  const refinedText = h("span", {});
  const keep = button({ icon: "save", label: texts.results.saveDetector }, actions.saveDetector);
  const refined = h(
    "div",
    { class: "refined", hidden: true },
    refinedText,
    h("span", { class: "spring" }),
    button({ icon: "undo", label: texts.results.undo }, actions.undoMark),
    button({ icon: "close", label: texts.results.clearMarks }, actions.clearMarks),
    keep,
  );
  const banner = h("div", { class: "banner", hidden: true });
  const trouble = h("div", { class: "banner trouble", role: "alert", hidden: true });
  const start = h("div", { class: "start" });
  const more = button({ icon: "more", label: texts.results.more }, actions.more);
  more.classList.add("more");
  more.hidden = true;
  const element = h(
    "section",
    { class: "results", id: "results", "aria-label": texts.results.label },
    toolbar,
    finds,
    gauge.element,
    refined,
    trouble,
    banner,
    hint.element,
    start,
    grid.element,
    more,
  );

  function showRefined(question: Question, canWrite: boolean): void {
    const [right, wrong] = [question.right.length, question.wrong.length];
    refined.hidden = right + wrong === 0;
    keep.hidden = !canWrite || right === 0;
    refinedText.textContent = texts.results.refined(right, wrong);
  }

  return {
    element,
    showMarks: (question, info) => showRefined(question, info?.can_write ?? false),
    showBusy: (first) => {
      element.setAttribute("aria-busy", "true");
      if (!first) return;
      start.hidden = true;
      banner.hidden = hint.element.hidden = true;
      more.hidden = true;
      grid.element.hidden = false;
      grid.showSkeletons();
    },
    clear: () => {
      toolbar.hidden = gauge.element.hidden = refined.hidden = true;
      banner.hidden = hint.element.hidden = more.hidden = start.hidden = true;
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
      banner.hidden = hint.element.hidden = more.hidden = true;
      grid.element.hidden = true;
      start.hidden = false;
      if (!info) return;
      replace(
        start,
        h("h2", {}, texts.start.heading),
        h(
          "p",
          { class: "lead" },
          [invite(info), speaksOtherwise(info) && texts.words.inEnglish, texts.start.held(info.n_tiles, info.n_scenes)]
            .filter(Boolean)
            .join(texts.space),
        ),
        info.examples.length > 0 &&
          h(
            "div",
            { class: "suggestions" },
            h("h3", {}, texts.start.begin),
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
            h("h3", {}, texts.start.examples),
            h(
              "ul",
              {},
              ...info.suggestions
                .slice(0, SUGGESTED)
                .map((text) =>
                  h("li", {}, h("button", { type: "button", lang: info.language, onclick: () => actions.suggest(text) }, text)),
                ),
            ),
          ),
        scenes.length > 0 && h("h3", {}, texts.start.scenes),
        h(
          "ul",
          { class: "scenes" },
          ...scenes.slice(0, SCENES_SHOWN).map((scene) => drawScene(scene, () => actions.locateScene(scene))),
        ),
        scenes.length > SCENES_SHOWN &&
          h("p", { class: "note" }, texts.start.more(scenes.length - SCENES_SHOWN)),
      );
    },
    showResult: (result, { cards, found, least, asked }, question, info) => {
      element.removeAttribute("aria-busy");
      start.hidden = true;
      toolbar.hidden = false;
      grid.element.hidden = false;
      trouble.hidden = true;
      summary.textContent = sayCount(cards, question);
      const ms = count(Math.max(1, Math.round(result.took_ms)));
      const among = finds.hidden ? texts.results.searched(result.n_tiles, ms) : texts.results.held(result.n_tiles);
      detail.textContent = `${countSure(cards, result.threshold)}${among}`;
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
        h("p", {}, hidden ? texts.results.noneAbove(found.length, percent(least / 100)) : explainMisses(result, cards, asked)),
      );
      hint.show(result, question, info);
      grid.show(cards, { weak: !result.matches, threshold: result.threshold });
      const mayBeMore = result.hits.length >= question.k || result.places.length >= question.k;
      more.hidden = !mayBeMore || question.k >= (info?.limits.max_k ?? question.k);
    },
  };
}

/** How a search of this index begins. */
function invite(info: IndexInfo): string {
  if (!info.knows_words) return texts.start.wordless;
  return isTouched() ? texts.start.touched : texts.start.pointed;
}

/** How many of the results are likely right, where not all of them are. */
function countSure(cards: Card[], threshold: number): string {
  const sure = cards.filter((card) => (card.relevance ?? 0) >= threshold).length;
  return sure > 0 && sure < cards.length ? `${texts.results.sure(count(sure), formatRelevance(threshold))} · ` : "";
}

function sayCount(cards: Card[], question: Question): string {
  return question.places ? texts.places(cards.length) : texts.tiles(cards.length);
}

/** One line: how much was found, for what. */
export function summarise(cards: Card[], question: Question, asked: string): string {
  const what = sayCount(cards, question);
  return asked ? texts.results.found(what, asked) : what;
}

const LIMITS = /^no tile lies within these limits(: )?/;

/** Why nothing is shown, or why what is shown is not what was asked for. */
export function explainMisses(result: SearchResult, cards: Card[], described: string): Said {
  const said = texts.results;
  const asked = described || texts.asked.nothing;
  if (!cards.length && result.state !== "unsure") {
    if (result.message === "this index holds no tiles yet") return said.empty;
    if (!LIMITS.test(result.message)) return result.message;
    const which = result.message.replace(LIMITS, "");
    return which ? join(texts.named(said.filtered), quoteService(`${which}.`)) : `${said.filtered}.`;
  }
  const [best, least] = [formatRelevance(result.relevance), formatRelevance(result.threshold)];
  if (result.state === "unsure") return said.unsure(asked) + texts.space + whyUnsure(result, best, least);
  return said.nothing(asked) + texts.space + (best ? said.closestAt(best, least) : said.closest);
}

function whyUnsure(result: SearchResult, best: string, least: string): string {
  const said = texts.results;
  if (result.is_foreign) return said.foreign;
  if (!best) return said.unsuitable;
  return (result.relevance ?? 0) < result.threshold ? said.bestAt(best, least) : said.partly;
}
