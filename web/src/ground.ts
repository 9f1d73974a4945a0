// What lies under the scenes: the coasts of the world, lines of longitude and latitude, and map tiles of one's own.
import type { GeoJSONSource, Map as MapLibre } from "maplibre-gl";
import { h, replace } from "./dom";
import { formatDegrees } from "./format";
import type { Background } from "./state";
import type { Position } from "./types";

declare const WORLD: string;

const STEPS = [45, 30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const LEAST_PX = 110;
const CURVE = 24;
const FARTHEST = 85;
const TILES = "background";

export class Ground {
  readonly #labels = h("div", { class: "graticule", "aria-hidden": "true" });
  readonly #credit = h("p", { class: "credit", hidden: true });
  #kind: Background = "none";

  constructor(
    readonly map: MapLibre,
    readonly tiles: { url: string; credit: string } | null,
  ) {
    map.getContainer().append(this.#labels, this.#credit);
    map.on("move", () => this.#drawLines());
    map.on("resize", () => this.#drawLines());
  }

  /** Draws the coasts, as `build.mjs` has packed them. */
  async drawWorld(): Promise<void> {
    const answer = await fetch(new URL(`./${WORLD}`, import.meta.url)).catch(() => null);
    if (!answer?.ok) return; // an empty ground shows scenes as well
    const { steps, rings } = (await answer.json()) as { steps: number; rings: number[][] };
    const coordinates = rings.map((ring) => [unpack(ring, steps)]);
    this.map.getSource<GeoJSONSource>("world")?.setData({
      type: "Feature",
      properties: {},
      geometry: { type: "MultiPolygon", coordinates },
    });
  }

  show(kind: Background): void {
    this.#kind = kind;
    const shows = kind === "tiles" && this.tiles !== null;
    if (shows && !this.map.getSource(TILES)) {
      this.map.addSource(TILES, { type: "raster", tiles: [this.tiles!.url], tileSize: 256 });
      this.map.addLayer({ id: TILES, type: "raster", source: TILES, paint: { "raster-fade-duration": 0 } }, "graticule");
    } else if (!shows && this.map.getSource(TILES)) {
      this.map.removeLayer(TILES);
      this.map.removeSource(TILES);
    }
    this.#credit.textContent = this.tiles?.credit ?? "";
    this.#credit.hidden = !shows || !this.tiles?.credit;
    this.#drawLines();
  }

  #drawLines(): void {
    const source = this.map.getSource<GeoJSONSource>("graticule");
    if (this.#kind !== "graticule") {
      if (this.#labels.childElementCount) {
        replace(this.#labels);
        source?.setData({ type: "FeatureCollection", features: [] });
      }
      return;
    }
    const view = this.map.getBounds();
    const [west, east] = [view.getWest(), view.getEast()];
    const [south, north] = [Math.max(-FARTHEST, view.getSouth()), Math.min(FARTHEST, view.getNorth())];
    const width = this.map.getContainer().clientWidth;
    const step = STEPS.findLast((each) => (each / (east - west)) * width >= LEAST_PX) ?? STEPS[0]!;
    const places = (from: number, to: number): number[] =>
      Array.from({ length: Math.max(0, Math.floor(to / step) - Math.ceil(from / step) + 1) }, (_, i) =>
        Number(((Math.ceil(from / step) + i) * step).toFixed(6)),
      );
    const [longitudes, latitudes] = [places(west, east), places(south, north)];
    const lines: Position[][] = [
      ...longitudes.map((x): Position[] => [
        [x, south],
        [x, north],
      ]),
      ...latitudes.map((y) => Array.from({ length: CURVE + 1 }, (_, i): Position => [west + ((east - west) * i) / CURVE, y])),
    ];
    source?.setData({ type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates: lines } });
    replace(
      this.#labels,
      ...longitudes.map((x) => this.#label(formatDegrees(wrapDegrees(x), "longitude"), { left: this.map.project([x, south]).x })),
      ...latitudes.map((y) => this.#label(formatDegrees(y, "latitude"), { top: this.map.project([west, y]).y })),
    );
  }

  #label(text: string, at: { left?: number; top?: number }): HTMLElement {
    const label = h("span", { class: at.left === undefined ? "parallel" : "meridian" }, text);
    if (at.left !== undefined) label.style.left = `${at.left}px`;
    if (at.top !== undefined) label.style.top = `${at.top}px`;
    return label;
  }
}

const wrapDegrees = (longitude: number): number => Number((((((longitude + 180) % 360) + 360) % 360) - 180).toFixed(6));

function unpack(ring: number[], steps: number): Position[] {
  const found: Position[] = [];
  let [x, y] = [0, 0];
  for (let i = 0; i < ring.length; i += 2) {
    x += ring[i]!;
    y += ring[i + 1]!;
    found.push([x / steps, y / steps]);
  }
  return found;
}
