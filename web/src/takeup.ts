// From what was kept back to a question of the page.
import type { Question } from "./state";
import { EMPTY, PAGE_SIZE } from "./state";
import type { DetectorWithMarks, SearchBody } from "./types";

/** The question that a search is; of what the page cannot ask, nothing. */
export function fromBody(search: SearchBody): Question {
  const marked = (right: boolean): string[] => search.marks.filter((mark) => mark.right === right).map((mark) => mark.tile);
  return {
    ...EMPTY,
    text: search.text ?? "",
    not: search.not,
    like: search.like,
    detector: search.detector ?? "",
    right: marked(true),
    wrong: marked(false),
    bbox: search.bbox,
    area: search.area,
    since: search.since ?? "",
    until: search.until ?? "",
    sensor: search.sensor ?? "",
    k: Math.max(PAGE_SIZE, search.k),
    places: search.places,
  };
}

/** Whether the page can ask all of it. */
export function saysAll(search: SearchBody): boolean {
  const more = search as unknown as Record<string, unknown>;
  const parts = more["parts"] as unknown[] | undefined;
  const isWeighed = search.like.some((tile) => /^\s*(\d+\.?\d*|\.\d+)\s*\*/.test(tile));
  return !isWeighed && !parts?.length && !more["gsd_m"] && !more["scene"] && !more["all"] && more["threshold"] === 0.5;
}

/** The question that a detector was learned from, with its marks: to mark more, and to save it again. */
export function goOn(detector: DetectorWithMarks): Question {
  const [right, wrong] = [detector.right, detector.wrong].map((tiles) => tiles.map((tile) => tile.tile)) as [string[], string[]];
  if (detector.search) return { ...fromBody(detector.search), right, wrong, k: PAGE_SIZE };
  const words = /^“([^”]+)”$/.exec(detector.query)?.[1]; // of an earlier rsitr, which kept no more
  return { ...EMPTY, ...(words ? { text: words } : { like: right.slice(0, 1) }), right, wrong };
}
