// What the HTTP API sends and takes.

export type Position = [number, number];
export type BBox = [west: number, south: number, east: number, north: number];
export type Ring = Position[];

export interface Polygon {
  type: "Polygon";
  coordinates: Ring[];
}
export interface MultiPolygon {
  type: "MultiPolygon";
  coordinates: Ring[][];
}
export type Geometry = Polygon | MultiPolygon;

export interface Health {
  status: "ready" | "warming" | "failed";
  version: string;
  model?: { name: string; image_size_px: number } | null;
}

export interface IndexInfo {
  name: string;
  n_tiles: number;
  n_scenes: number;
  bbox: BBox | null;
  since: string | null;
  until: string | null;
  sensors: string[];
  threshold: number;
  limits: { max_k: number; max_area_bytes: number; max_upload_bytes: number; max_upload_px: number };
  can_write: boolean;
  suggestions: string[];
  knows_words: boolean;
  examples: string[];
  background: { url: string; credit: string } | null;
  language: string | null;
}

export interface Scene {
  id: string;
  scene: string;
  date: string | null;
  sensor: string | null;
  gsd_m: number | null;
  n_tiles: number;
  size_px: [number, number];
  bbox: BBox | null;
  footprint: Geometry | null;
  crs: string | null;
  corners: [Position, Position, Position, Position] | null;
  overview: string;
  tiles: string | null;
}

export interface Tile {
  tile: string;
  scene: string;
  scene_id: string;
  date: string | null;
  sensor: string | null;
  gsd_m: number | null;
  window_px: [number, number, number, number];
  geometry: Geometry | null;
  bbox: BBox | null;
  picture: string;
}

/** Tiles that a brush touched. */
export interface Brushed {
  tiles: Tile[];
  is_cut: boolean;
}

export interface Hit extends Tile {
  rank: number;
  score: number;
  relevance: number | null;
  place: number | null;
  suitability: string;
  mark: "right" | "wrong" | null;
}

export interface Sighting {
  scene: string;
  scene_id: string;
  date: string | null;
  sensor: string | null;
  score: number;
  relevance: number | null;
  best_tile: string;
  tiles: string[];
}

export interface Place {
  rank: number;
  id: string;
  position: Position | null;
  score: number;
  relevance: number | null;
  n_tiles: number;
  geometry: Geometry | null;
  bbox: BBox | null;
  dates: string[];
  sightings: Sighting[];
}

export interface SearchBody {
  text: string | null;
  not: string[];
  like: string[];
  pictures: string[];
  detector: string | null;
  marks: { tile: string; right: boolean }[];
  bbox: BBox | null;
  area: Geometry | null;
  since: string | null;
  until: string | null;
  sensor: string | null;
  k: number;
  places: boolean;
}

/** A word that the model does not know, and the nearest to it that it knows. */
export interface UnknownWord {
  word: string;
  nearest: string[];
}

export interface SearchResult {
  query: { described: string };
  matches: boolean;
  state: "matches" | "unsure" | "nothing" | null;
  message: string;
  model: string;
  relevance: number | null;
  threshold: number;
  n_tiles: number;
  took_ms: number;
  refined: boolean;
  unknown: UnknownWord[];
  is_foreign: boolean;
  hits: Hit[];
  places: Place[];
}

export interface Detector {
  name: string;
  query: string;
  n_right: number;
  n_wrong: number;
  n_gone: number;
  precision: number | null;
}

export interface DetectorWithMarks extends Detector {
  right: Tile[];
  wrong: Tile[];
  estimate: string;
  fits: boolean;
  search: SearchBody | null;
}

export interface SavedSearch {
  name: string;
  query: string;
  search: SearchBody;
}

export interface SavedSearches {
  searches: SavedSearch[];
  damaged: string[];
}

export interface Finds {
  query: string;
  model: string;
  threshold: number;
  n_tiles: number;
  n_finds: number;
  n_new: number;
  is_cut: boolean;
  seen: string | null;
  note: string;
  version: number;
  best: Hit[];
  new: Hit[];
}

export interface Compared {
  first: string;
  second: string;
  model: string;
  threshold: number;
  n_tiles: number;
  n_both: number;
  n_first: number;
  n_second: number;
  note: string;
  both: Hit[];
  only_first: Hit[];
  only_second: Hit[];
}

/** The ground of a tile as one scene shows it. */
export interface Sight {
  scene: string;
  scene_id: string;
  date: string | null;
  sensor: string | null;
  gsd_m: number | null;
  tile: string;
  window_px: [number, number, number, number];
  picture: string;
}

export interface GivenArea {
  geometry: Geometry;
  bbox: BBox;
  n_outlines: number;
  n_corners: number;
  note: string;
}

/** A piece of ground, as sure as the best of its tiles. */
export interface Cell {
  ring: Position[];
  score: number;
  relevance: number | null;
  tile: string;
  n_tiles: number;
}

export interface Heat {
  n_tiles: number;
  n_shown: number;
  joined: boolean;
  cells: Cell[];
}

export type Verdict = "yes" | "no" | "unsure";

export interface Review {
  query: string;
  tile: string;
  verdict: "yes" | "no" | "unsure";
  note: string;
  who: string;
  when: string;
  relevance: number | null;
}
