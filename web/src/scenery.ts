// The map's background: the indexed scenes themselves, those in view, each at its corners; closer up as tiles.
import type { ImageSource, Map as MapLibre } from "maplibre-gl";
import { resolve, withQuery } from "./api";
import { unwrap } from "./card";
import type { Scene } from "./types";

const MOST_SHOWN = 48;
const LEAST_PX = 12;
const SIZES_PX = [256, 1024, 2048] as const;
const TILE_PX = 512;
/** How much finer than the largest overview the screen must be before tiles are asked for. */
const BLURRED = 1.25;
const EARTH_M = 40_075_017;

/** What the map is to show of the scenes. */
export interface Shown {
  /** This scene lies above all others, whatever its date. */
  top: string;
  since: string;
  until: string;
  sensor: string;
  /** Scenes that are not drawn unless they are on top, and those that are drawn with so many percent. */
  off: string[];
  opacity: Record<string, number>;
}

export class Scenery {
  #scenes: Scene[] = [];
  #wanted: Shown = { top: "", since: "", until: "", sensor: "", off: [], opacity: {} };
  readonly #shown = new Map<string, number>();
  readonly #tiled = new Set<string>();
  #order = "";

  constructor(
    readonly map: MapLibre,
    readonly above: string,
  ) {
    map.on("moveend", () => this.#update());
    map.on("resize", () => this.#update());
  }

  set(scenes: Scene[]): void {
    this.#scenes = scenes.filter((scene) => scene.corners && scene.bbox);
    this.#update();
  }

  show(wanted: Shown): void {
    this.#wanted = wanted;
    this.#update();
  }

  /** From the lowest to the topmost: coarse below fine, earlier below later, what was chosen above all. */
  #sorted(): Scene[] {
    const { top } = this.#wanted;
    return this.#scenes
      .filter((scene) => scene.id === top || this.#passes(scene))
      .sort(
        (a, b) =>
          Number(a.id === top) - Number(b.id === top) ||
          rank(b) - rank(a) ||
          (a.date ?? "").localeCompare(b.date ?? "") ||
          a.scene.localeCompare(b.scene),
      );
  }

  /** Whether a scene lies within the limits of the search: what it leaves out is not what is looked at. */
  #passes({ id, date, sensor }: Scene): boolean {
    const { since, until, sensor: only } = this.#wanted;
    if (this.#wanted.off.includes(id)) return false;
    if (only && sensor !== only) return false;
    if (!since && !until) return true;
    return date !== null && (!since || date >= since) && (!until || date <= until);
  }

  /** What is drawn, the topmost first. */
  get order(): string[] {
    return this.#sorted()
      .map(({ id }) => id)
      .reverse();
  }

  #update(): void {
    const sorted = this.#sorted();
    const wanted = sorted
      .map((scene) => ({ scene, sizePx: this.#sizeOnScreen(scene) }))
      .filter(({ sizePx }) => sizePx >= LEAST_PX)
      .sort((a, b) => b.sizePx - a.sizePx)
      .slice(0, MOST_SHOWN);
    const ids = new Set(wanted.map(({ scene }) => scene.id));
    for (const id of this.#shown.keys()) if (!ids.has(id)) this.#remove(id);
    for (const { scene, sizePx } of wanted) {
      this.#show(scene, sizePx);
      this.#tile(scene, sizePx);
      this.#fade(scene.id);
    }
    this.#stack(sorted);
  }

  /** The longer side on screen in CSS pixels; 0 where none of it is in view. */
  #sizeOnScreen(scene: Scene): number {
    const [west, south, east, north] = unwrap(scene.bbox!);
    const view = this.map.getBounds();
    const apart = east < view.getWest() || west > view.getEast() || north < view.getSouth() || south > view.getNorth();
    if (apart) return 0;
    const [a, b] = [this.map.project([west, north]), this.map.project([east, south])];
    return Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y));
  }

  #show(scene: Scene, sizeOnScreenPx: number): void {
    const pixels = Math.min(sizeOnScreenPx * devicePixelRatio, Math.max(...scene.size_px));
    const maxPx = SIZES_PX.find((size) => size >= pixels * 0.8) ?? SIZES_PX.at(-1)!;
    const source = `scene-${scene.id}`;
    const before = this.#shown.get(scene.id);
    if (before !== undefined && before >= maxPx) return; // a sharper picture than needed is fine
    const url = withQuery(scene.overview, { max_px: maxPx });
    this.#shown.set(scene.id, maxPx);
    if (before !== undefined) {
      this.map.getSource<ImageSource>(source)?.updateImage({ url, coordinates: scene.corners! });
      return;
    }
    this.map.addSource(source, { type: "image", url, coordinates: scene.corners! });
    this.map.addLayer({ id: source, type: "raster", source, paint: { "raster-fade-duration": 0 } }, this.above);
    this.#order = "";
  }

  /** Lays a large scene's own pixels over its overview where that is too coarse, square by square. */
  #tile(scene: Scene, sizeOnScreenPx: number): void {
    const longest = Math.max(...scene.size_px);
    const isBlurred = Math.min(sizeOnScreenPx * devicePixelRatio, longest) > SIZES_PX.at(-1)! * BLURRED;
    const id = `tiles-${scene.id}`;
    if (!isBlurred || !scene.tiles || this.#tiled.has(scene.id)) return;
    const [west, south, east, north] = unwrap(scene.bbox!);
    this.map.addSource(id, {
      type: "raster",
      tiles: [resolve(scene.tiles).replaceAll("%7B", "{").replaceAll("%7D", "}")],
      tileSize: TILE_PX,
      bounds: east > 180 ? [-180, south, 180, north] : [west, south, east, north],
      maxzoom: finestZoom(scene),
    });
    this.map.addLayer({ id, type: "raster", source: id, paint: { "raster-fade-duration": 0 } }, this.above);
    this.#tiled.add(scene.id);
    this.#order = "";
  }

  #fade(id: string): void {
    const opacity = (this.#wanted.opacity[id] ?? 100) / 100;
    for (const layer of [`scene-${id}`, `tiles-${id}`]) {
      if (!this.map.getLayer(layer) || this.map.getPaintProperty(layer, "raster-opacity") === opacity) continue;
      this.map.setPaintProperty(layer, "raster-opacity", opacity);
    }
  }

  /** Puts the layers into their order, if that has changed. */
  #stack(sorted: Scene[]): void {
    const layers = sorted
      .flatMap(({ id }) => [`scene-${id}`, `tiles-${id}`])
      .filter((layer) => this.map.getLayer(layer) !== undefined);
    const order = layers.join(" ");
    if (order === this.#order) return;
    this.#order = order;
    for (const layer of layers) this.map.moveLayer(layer, this.above);
  }

  #remove(id: string): void {
    this.#shown.delete(id);
    this.#tiled.delete(id);
    for (const layer of [`scene-${id}`, `tiles-${id}`]) {
      if (this.map.getLayer(layer)) this.map.removeLayer(layer);
      if (this.map.getSource(layer)) this.map.removeSource(layer);
    }
  }
}

/** Scenes of nearly the same resolution differ by date, not by a pixel's breadth. */
const rank = (scene: Scene): number => Math.round(2 * Math.log2(scene.gsd_m ?? 1));

/** The zoom at which a tile's pixels are as fine as the scene's. */
function finestZoom(scene: Scene): number {
  const [, south, , north] = scene.bbox!;
  const across = EARTH_M * Math.cos((((south + north) / 2) * Math.PI) / 180);
  const zoom = Math.log2(across / TILE_PX / Math.max(scene.gsd_m ?? 1, 0.01));
  return Math.min(24, Math.max(1, Math.ceil(zoom)));
}
