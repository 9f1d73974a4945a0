// A detector or a saved search in the list: its words, pictures of what is meant, how well it does, what it finds.
import { resolve, showPicture, withQuery } from "./api";
import { button, h, replace } from "./dom";
import { formatDay } from "./format";
import { split } from "./keptapi";
import { texts } from "./language";
import { percent } from "./numbers";
import type { Said } from "./said";
import { quoteService } from "./said";
import type { DetectorWithMarks, Finds, Tile } from "./types";

export interface Shown {
  element: HTMLElement;
  /** What it was made of. */
  readonly says: string;
  /** Of the index, when what it finds was last told. */
  readonly version: number | undefined;
  readonly isChosen: boolean;
  learned: (detector: DetectorWithMarks) => void;
  found: (finds: Finds, options: { withPictures: boolean }) => void;
  fail: (text: Said) => void;
  choose: (on: boolean) => void;
}

interface Actions {
  run: () => void;
  showNew: () => void;
  goOn: () => void;
  seen: () => void;
  rename: () => void;
  remove: () => void;
  compare: (on: boolean) => void;
}

const PICTURES = 4;
const PICTURE_PX = 128;

/** Of its first button. */
export const idOf = (reference: string): string => `kept-${reference.replaceAll(/[: ]/g, "_")}`;

export function createRow(
  reference: string,
  about: { query: string; facts: string; canWrite: boolean },
  actions: Actions,
): Shown {
  const [kind, name] = split(reference);
  const isDetector = kind === "detectors";
  const id = idOf(reference);
  let version: number | undefined;
  const pictures = h("div", { class: "thumbs", "aria-hidden": "true" });
  const badge = h("span", { class: "new-badge", hidden: true });
  const facts = h("p", { class: "facts-line" }, about.facts);
  const estimate = h("p", { class: "note", hidden: true });
  const told = h("p", { class: "facts-line" }, texts.kept.looking);
  const problem = h("p", { class: "problem" });
  // Names in labels: a list of buttons that are all called Run tells nobody which is which.
  const act = (label: string, action: () => void, className = ""): HTMLButtonElement => {
    const element = button({ label, className }, action);
    element.setAttribute("aria-label", texts.named(label) + name);
    return element;
  };
  const run = act(texts.kept.run, actions.run, "primary");
  run.id = id;
  const showNew = act(texts.kept.showNew, actions.showNew);
  const seen = act(texts.kept.allSeen, actions.seen);
  showNew.disabled = true;
  seen.hidden = true;
  const box = h("input", { type: "checkbox", id: `${id}-compare`, onchange: () => actions.compare(box.checked) });
  const element = h(
    "li",
    { class: "kept-row", "data-kept": reference },
    h(
      "div",
      { class: "row" },
      h("h3", {}, name),
      h("span", { class: "kind" }, isDetector ? texts.kept.detector : texts.kept.search),
      badge,
      h("span", { class: "spring" }),
      h("label", { class: "check" }, box, h("span", {}, texts.kept.compare, h("span", { class: "visually-hidden" }, ` ${name}`))),
    ),
    h("p", { class: "words" }, quoteService(about.query)),
    pictures,
    about.facts ? facts : null,
    estimate,
    told,
    problem,
    h(
      "div",
      { class: "row" },
      run,
      showNew,
      isDetector && act(texts.kept.goOn, actions.goOn),
      about.canWrite && seen,
      about.canWrite && act(texts.kept.rename, actions.rename, "quiet"),
      about.canWrite && act(texts.kept.delete, actions.remove, "quiet"),
    ),
  );

  function show(tiles: Tile[]): void {
    replace(
      pictures,
      ...tiles.slice(0, PICTURES).map((tile) => {
        const image = h("img", { alt: "", width: 64, height: 64, loading: "lazy" });
        void showPicture(image, withQuery(resolve(tile.picture), { size: PICTURE_PX }));
        return image;
      }),
    );
  }

  return {
    element,
    says: [about.query, about.facts, about.canWrite].join("\n"),
    get version() {
      return version;
    },
    get isChosen() {
      return box.checked;
    },
    learned: (detector) => {
      const precision = detector.precision === null ? "" : texts.kept.precision(percent(detector.precision));
      const gone = detector.n_gone ? texts.kept.letGo(detector.n_gone) : "";
      facts.textContent = [about.facts, precision, gone].filter(Boolean).join(" · ");
      estimate.hidden = false;
      replace(estimate, quoteService(detector.estimate));
      show(detector.right);
    },
    found: (finds, { withPictures }) => {
      version = finds.version;
      const when = finds.seen ? texts.kept.since(formatDay(finds.seen.slice(0, 10))) : texts.kept.never;
      const { finds: say, findsOrMore, none } = texts.kept;
      const nFound = (finds.is_cut ? findsOrMore : say)(finds.n_finds);
      const isNew = texts.kept.badge(finds.n_new);
      told.textContent = finds.n_finds || finds.seen ? `${nFound}${texts.comma}${isNew} · ${when}` : none;
      badge.hidden = !finds.n_new;
      badge.textContent = isNew;
      showNew.disabled = !finds.n_new;
      seen.hidden = !finds.n_new && finds.seen !== null;
      replace(problem, finds.note && quoteService(finds.note));
      if (withPictures) show(finds.best);
    },
    fail: (text) => {
      told.textContent = "";
      problem.replaceChildren(text);
    },
    choose: (on) => {
      box.checked = on;
    },
  };
}
