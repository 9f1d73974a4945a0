// What one entry of the results is, whether it stands for a place or for a single tile.
import { picturePath } from "./api";
import type { BBox, Geometry, Hit, Place, Position, Scene, SearchResult, Sight, Sighting, Tile } from "./types";

export interface Card {
  /** Id of its (best) tile. */
  key: string;
  rank: number | null;
  score: number | null;
  relevance: number | null;
  scene: string;
  sceneId: string;
  date: string | null;
  sensor: string | null;
  gsdM: number | null;
  geometry: Geometry | null;
  bbox: BBox | null;
  /** Of its (best) tile's middle. */
  position: Position | null;
  windowPx: [number, number, number, number] | null;
  picture: string;
  nTiles: number;
  dates: string[];
  sightings: Sighting[];
  suitability: string;
  mark: string | null;
}

/** The entries of a result, best first. */
export function listCards(result: SearchResult, places: boolean): Card[] {
  const byTile = new Map(result.hits.map((hit) => [hit.tile, hit]));
  if (!places) return result.hits.map(fromHit);
  return result.places.map((place) => fromPlace(place, byTile.get(place.id)));
}

function fromHit(hit: Hit): Card {
  return { ...fromTile(hit), rank: hit.rank, score: hit.score, relevance: hit.relevance, ...said(hit) };
}

/** What is said of a hit beside its place and its numbers. */
const said = (hit: Hit | undefined): Pick<Card, "suitability" | "mark"> => ({
  suitability: hit?.suitability ?? "",
  mark: hit?.mark ?? null,
});

/** A tile that no search found: one that a link names. */
export function fromTile(tile: Tile): Card {
  return {
    key: tile.tile,
    rank: null,
    score: null,
    relevance: null,
    scene: tile.scene,
    sceneId: tile.scene_id,
    date: tile.date,
    sensor: tile.sensor,
    gsdM: tile.gsd_m,
    geometry: tile.geometry,
    bbox: tile.bbox,
    position: tile.bbox && centreOf(tile.bbox),
    windowPx: tile.window_px,
    picture: tile.picture,
    nTiles: 1,
    dates: tile.date ? [tile.date] : [],
    sightings: [],
    ...said(undefined),
  };
}

function fromPlace(place: Place, best: Hit | undefined): Card {
  const seen = place.sightings.find((sighting) => sighting.tiles.includes(place.id)) ?? place.sightings[0];
  return {
    key: place.id,
    rank: place.rank,
    score: place.score,
    relevance: place.relevance,
    scene: best?.scene ?? seen?.scene ?? "",
    sceneId: best?.scene_id ?? seen?.scene_id ?? "",
    date: best?.date ?? seen?.date ?? null,
    sensor: best?.sensor ?? seen?.sensor ?? null,
    gsdM: best?.gsd_m ?? null,
    geometry: place.geometry,
    bbox: place.bbox,
    position: place.position,
    windowPx: best?.window_px ?? null,
    picture: best?.picture ?? picturePath(place.id),
    nTiles: place.n_tiles,
    dates: place.dates,
    sightings: place.sightings,
    ...said(best),
  };
}

/** A card as another scene shows its ground. */
export function inScene(card: Card, sight: Sight): Card {
  const { scene, scene_id: sceneId, date, sensor, gsd_m: gsdM, window_px: windowPx, picture } = sight;
  return { ...card, scene, sceneId, date, sensor, gsdM, windowPx, picture };
}

/** Whether a position lies in one of some boxes. */
export function covers(boxes: BBox[], [longitude, latitude]: Position): boolean {
  return boxes.map(unwrap).some(([west, south, east, north]) => {
    const across = longitude < west ? longitude + 360 : longitude;
    return west <= across && across <= east && south <= latitude && latitude <= north;
  });
}

export function isPlaced(card: Card): boolean {
  return card.bbox !== null;
}

/** Where the corners of a tile are, from those of its scene: a picture is laid on the map by its corners. */
export function findCorners(card: Pick<Card, "windowPx">, scene: Scene | undefined): [Position, Position, Position, Position] | null {
  if (!scene?.corners || !card.windowPx) return null;
  const [topLeft, topRight, bottomRight, bottomLeft] = scene.corners;
  const [column, row, width, height] = card.windowPx;
  const at = (x: number, y: number): Position => {
    const [u, v] = [x / scene.size_px[0], y / scene.size_px[1]];
    const mix = (i: 0 | 1): number =>
      (topLeft[i] * (1 - u) + topRight[i] * u) * (1 - v) + (bottomLeft[i] * (1 - u) + bottomRight[i] * u) * v;
    return [mix(0), mix(1)];
  };
  return [at(column, row), at(column + width, row), at(column + width, row + height), at(column, row + height)];
}

/** A box around boxes; one across the antimeridian (west > east) goes on beyond 180. */
export function joinBoxes(boxes: (BBox | null)[]): BBox | null {
  const known = boxes.filter((box): box is BBox => box !== null).map(unwrap);
  if (!known.length) return null;
  return [
    Math.min(...known.map((box) => box[0])),
    Math.min(...known.map((box) => box[1])),
    Math.max(...known.map((box) => box[2])),
    Math.max(...known.map((box) => box[3])),
  ];
}

export function unwrap([west, south, east, north]: BBox): BBox {
  return [west, south, west > east ? east + 360 : east, north];
}

export function centreOf(box: BBox): Position {
  const [west, south, east, north] = unwrap(box);
  const longitude = (west + east) / 2;
  return [longitude > 180 ? longitude - 360 : longitude, (south + north) / 2];
}
