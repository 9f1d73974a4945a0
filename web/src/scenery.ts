// The map's background: the indexed scenes themselves, those in view, each at its corners.
import type { ImageSource, Map as MapLibre } from "maplibre-gl";
import { withQuery } from "./api";
import { unwrap } from "./card";
import type { Scene } from "./types";

const MOST_SHOWN = 48;
const LEAST_PX = 12;
const SIZES_PX = [256, 1024, 2048] as const;

export class Scenery {
  #scenes: Scene[] = [];
  readonly #shown = new Map<string, number>();

  constructor(
    readonly map: MapLibre,
    readonly above: string,
  ) {
    map.on("moveend", () => this.#update());
    map.on("resize", () => this.#update());
  }

  set(scenes: Scene[]): void {
    // Coarse scenes lie below fine ones.
    this.#scenes = scenes
      .filter((scene) => scene.corners && scene.bbox)
      .sort((a, b) => (b.gsd_m ?? 0) - (a.gsd_m ?? 0));
    this.#update();
  }

  #update(): void {
    const wanted = this.#scenes
      .map((scene) => ({ scene, sizePx: this.#sizeOnScreen(scene) }))
      .filter(({ sizePx }) => sizePx >= LEAST_PX)
      .sort((a, b) => b.sizePx - a.sizePx)
      .slice(0, MOST_SHOWN);
    const ids = new Set(wanted.map(({ scene }) => scene.id));
    for (const id of this.#shown.keys()) if (!ids.has(id)) this.#remove(id);
    for (const { scene, sizePx } of wanted) this.#show(scene, sizePx);
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
    const finer = this.#scenes
      .slice(this.#scenes.indexOf(scene) + 1)
      .find(({ id }) => this.map.getLayer(`scene-${id}`));
    const paint = { "raster-fade-duration": 0 };
    this.map.addLayer({ id: source, type: "raster", source, paint }, finer ? `scene-${finer.id}` : this.above);
  }

  #remove(id: string): void {
    this.#shown.delete(id);
    this.map.removeLayer(`scene-${id}`);
    this.map.removeSource(`scene-${id}`);
  }
}
