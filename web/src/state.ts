// What is asked and what is looked at; all of it lives in the fragment of the address, so that a search can be shared.
// The fragment, and not the query string, because what people look for has no business in a server's logs.
import type { BBox, Geometry, Position, Ring, SearchBody } from "./types";

export interface Question {
  text: string;
  not: string[];
  like: string[];
  pictures: string[];
  detector: string;
  right: string[];
  wrong: string[];
  bbox: BBox | null;
  area: Geometry | null;
  since: string;
  until: string;
  sensor: string;
  k: number;
  places: boolean;
}

/** Two days of the same ground: the scene that lies over the other, from where on, and how opaque. */
export interface Comparison {
  against: string;
  split: number;
  fade: number;
}

export interface View extends Comparison {
  selected: string;
  /** The scene, by its id, in which the selected ground is shown; its own where none is named. */
  day: string;
  why: boolean;
  /** Whether results are reviewed one after the other. */
  review: boolean;
  /** Whether what is saved is listed: nothing where not, else 1, or the two that are compared with a comma between. */
  kept: string;
  /** What is shown in place of the question's answer: what of something's finds, and of what. */
  finds: string;
  /** The detector that is gone on with. */
  saveAs: string;
  /** Percent of relevance from which results are shown. */
  least: number;
  centre: Position | null;
  zoom: number;
  background: Background;
  /** Whether every tile is coloured by how well it fits. */
  heat: boolean;
  /** Scenes, by their ids, that are not drawn, and those that are drawn with so many percent. */
  off: string[];
  opacity: Record<string, number>;
}

/** What lies under the scenes; nothing chosen is the service's own tiles where it has some. */
export type Background = "" | "none" | "graticule" | "tiles";
const BACKGROUNDS: readonly Background[] = ["none", "graticule", "tiles"];
const SCENE = /^[0-9a-f]{16}$/;
const KEPT = "(?:detectors|saved):[A-Za-z0-9][A-Za-z0-9 _-]{0,63}";
const PAIR = new RegExp(`^(?:1|${KEPT},${KEPT})$`);
const FINDS = new RegExp(`^(?:(?:new|all),${KEPT}|(?:both|first|second),${KEPT},${KEPT})$`);
const NAME = /^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$/;

export const SPLIT = 50;
export const FADE = 100;
/** What a view says of no ground in particular. */
export const NO_DAY = { day: "", against: "", split: SPLIT, fade: FADE };
export const PAGE_SIZE = 24;

export const EMPTY: Readonly<Question> = {
  text: "",
  not: [],
  like: [],
  pictures: [],
  detector: "",
  right: [],
  wrong: [],
  bbox: null,
  area: null,
  since: "",
  until: "",
  sensor: "",
  k: PAGE_SIZE,
  places: true,
};

const DIGITS = 6;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** Whether something is asked: filters alone ask for nothing. */
export function isAsked(question: Question): boolean {
  return Boolean(question.text || question.like.length || question.pictures.length || question.detector);
}

export function isFiltered(question: Question): boolean {
  return Boolean(question.bbox || question.area || question.since || question.until || question.sensor);
}

/** Whether two questions ask for the same thing, whatever the filters: then marks still mean what they meant. */
export function asksTheSame(a: Question, b: Question): boolean {
  const asked = (q: Question): string => JSON.stringify([q.text, q.not, q.like, q.pictures, q.detector]);
  return asked(a) === asked(b);
}

export function toBody(question: Question): SearchBody {
  return {
    text: question.text || null,
    not: question.not,
    like: question.like,
    pictures: question.pictures,
    detector: question.detector || null,
    marks: [
      ...question.right.map((tile) => ({ tile, right: true })),
      ...question.wrong.map((tile) => ({ tile, right: false })),
    ],
    bbox: question.bbox,
    area: question.area,
    since: question.since || null,
    until: question.until || null,
    sensor: question.sensor || null,
    k: question.k,
    places: question.places,
  };
}

const LISTS = [
  ["not", "not"],
  ["like", "like"],
  ["pic", "pictures"],
  ["right", "right"],
  ["wrong", "wrong"],
] as const;

/** The fragment that says all of it, without its `#`. */
export function encode(question: Question, view: View): string {
  const parts = new URLSearchParams();
  const put = (name: string, value: string): void => {
    if (value) parts.append(name, value);
  };
  put("q", question.text);
  for (const [name, field] of LISTS) for (const value of question[field]) put(name, value);
  put("detector", question.detector);
  put("bbox", question.bbox?.map(round).join(",") ?? "");
  for (const polygon of polygonsOf(question.area)) put("area", polygon.map(encodeRing).join("|"));
  put("since", question.since);
  put("until", question.until);
  put("sensor", question.sensor);
  if (question.k !== PAGE_SIZE) put("k", String(question.k));
  if (!question.places) put("tiles", "1");
  put("show", view.selected);
  put("day", view.day);
  put("with", view.against);
  if (view.against && view.split !== SPLIT) put("split", String(view.split));
  if (view.against && view.fade !== FADE) put("fade", String(view.fade));
  if (view.why) put("why", "1");
  if (view.review) put("review", "1");
  if (view.least) put("least", String(view.least));
  put("kept", view.kept);
  put("finds", view.finds);
  put("as", view.saveAs);
  put("ground", view.background);
  if (view.heat) put("heat", "1");
  for (const id of view.off) put("off", id);
  for (const [id, percent] of Object.entries(view.opacity)) put("opacity", `${id}:${percent}`);
  if (view.centre) put("at", [...view.centre.map((value) => value.toFixed(5)), view.zoom.toFixed(2)].join(","));
  return parts.toString();
}

/** What a fragment says; what it says badly is left out. */
export function decode(fragment: string): { question: Question; view: View } {
  const parts = new URLSearchParams(fragment.replace(/^#/, ""));
  const one = (name: string): string => parts.get(name) ?? "";
  const day = (name: string): string => (DAY.test(one(name)) ? one(name) : "");
  const like = (name: string, pattern: RegExp): string => (pattern.test(one(name)) ? one(name) : "");
  const scene = (name: string): string => (SCENE.test(one(name)) ? one(name) : "");
  const percent = (name: string, otherwise: number): number =>
    /^(100|\d{1,2})$/.test(one(name)) ? Number(one(name)) : otherwise;
  const k = Number(one("k"));
  const least = Number(one("least"));
  const at = numbers(one("at"), 3);
  const box = numbers(one("bbox"), 4);
  const question: Question = {
    ...EMPTY,
    text: one("q").trim(),
    detector: one("detector"),
    bbox: box && isBox(box) ? box : null,
    area: decodeArea(parts.getAll("area")),
    since: day("since"),
    until: day("until"),
    sensor: one("sensor"),
    k: Number.isInteger(k) && k > 0 ? k : PAGE_SIZE,
    places: one("tiles") !== "1",
  };
  for (const [name, field] of LISTS) question[field] = [...new Set(parts.getAll(name))];
  const view: View = {
    selected: one("show"),
    day: scene("day"),
    against: scene("with"),
    split: percent("split", SPLIT),
    fade: percent("fade", FADE),
    why: one("why") === "1",
    review: one("review") === "1",
    least: Number.isInteger(least) && least > 0 && least <= 100 ? least : 0,
    kept: like("kept", PAIR),
    finds: like("finds", FINDS),
    saveAs: like("as", NAME),
    centre: at ? [at[0]!, at[1]!] : null,
    zoom: at ? at[2]! : 0,
    background: BACKGROUNDS.find((known) => known === one("ground")) ?? "",
    heat: one("heat") === "1",
    off: parts.getAll("off").filter((id) => SCENE.test(id)),
    opacity: decodeOpacity(parts.getAll("opacity")),
  };
  return { question, view };
}

export function polygonsOf(area: Geometry | null): Ring[][] {
  if (!area) return [];
  return area.type === "Polygon" ? [area.coordinates] : area.coordinates;
}

const encodeRing = (ring: Ring): string =>
  ring
    .slice(0, -1)
    .map((at) => at.map(round).join(","))
    .join(";");

/** Polygons as the address has them: rings with | between them, the outline first; all or nothing. */
function decodeArea(texts: string[]): Geometry | null {
  const polygons = texts.map((text) => text.split("|").map(decodeRing));
  const [first] = polygons;
  if (!first || polygons.flat().includes(null)) return null;
  return polygons.length === 1
    ? { type: "Polygon", coordinates: first as Ring[] }
    : { type: "MultiPolygon", coordinates: polygons as Ring[][] };
}

function decodeOpacity(texts: string[]): Record<string, number> {
  const pairs = texts.map((text): [string, number] => [text.slice(0, 16), text[16] === ":" ? Number(text.slice(17)) : -1]);
  return Object.fromEntries(pairs.filter(([id, percent]) => SCENE.test(id) && percent >= 0 && percent < 100));
}

function decodeRing(text: string): Ring | null {
  const ring = text.split(";").map((pair) => numbers(pair, 2) as Position | null);
  const whole = ring.filter((at): at is Position => at !== null);
  return whole.length < 3 || whole.length !== ring.length ? null : [...whole, whole[0]!];
}

function numbers(text: string, count: number): number[] | null {
  const values = text.split(",").map((part) => (part.trim() ? Number(part) : Number.NaN));
  return values.length === count && values.every(Number.isFinite) ? values : null;
}

export function isBox(values: number[]): values is BBox {
  const [west, south, east, north] = values as BBox;
  return (
    values.length === 4 &&
    Math.abs(west) <= 180 &&
    Math.abs(east) <= 180 &&
    south >= -90 &&
    north <= 90 &&
    south < north &&
    west !== east
  );
}

function round(value: number): number {
  return Number(value.toFixed(DIGITS));
}
