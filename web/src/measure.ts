// Measuring on the map: how long a way is, and how much ground an outline has, on a sphere as large as the Earth.
import type { GeoJSONSource, Map as MapLibre, MapMouseEvent } from "maplibre-gl";
import { formatArea, formatLength } from "./format";
import { texts } from "./language";
import type { Position } from "./types";

const RADIUS_M = 6_371_008.8;
const SOURCE = "measure";
const radians = (degrees: number): number => (degrees * Math.PI) / 180;

/** Metres from one place to another, the short way. */
export function distance(a: Position, b: Position): number {
  const [high, wide] = [radians(b[1] - a[1]), radians(b[0] - a[0])];
  const half = Math.sin(high / 2) ** 2 + Math.cos(radians(a[1])) * Math.cos(radians(b[1])) * Math.sin(wide / 2) ** 2;
  return 2 * RADIUS_M * Math.asin(Math.min(1, Math.sqrt(half)));
}

export function length(way: Position[]): number {
  return way.slice(1).reduce((sum, at, i) => sum + distance(way[i]!, at), 0);
}

/** Square metres within an outline. */
export function area(ring: Position[]): number {
  const sum = ring.reduce((total, a, i) => {
    const b = ring[(i + 1) % ring.length]!;
    return total + radians(b[0] - a[0]) * (2 + Math.sin(radians(a[1])) + Math.sin(radians(b[1])));
  }, 0);
  return Math.abs((sum * RADIUS_M ** 2) / 2);
}

/** What has been measured, in words. */
export function sayMeasured(way: Position[]): string {
  if (way.length < 2) return texts.map.measureHint;
  const long = formatLength(length(way));
  if (way.length < 3) return long;
  const around = formatLength(length([...way, way[0]!]));
  return texts.map.measured(long, around, formatArea(area(way)));
}

export class Measure {
  #active = false;
  #way: Position[] = [];

  /** `told` hears in words what has been measured, and null when measuring ends. */
  constructor(
    readonly map: MapLibre,
    readonly told: (text: string | null) => void,
  ) {
    map.on("click", (event: MapMouseEvent) => {
      if (this.#active) this.#add(event.lngLat.toArray() as Position);
    });
    map.on("mousemove", (event: MapMouseEvent) => {
      if (this.#active && this.#way.length) this.#show([...this.#way, event.lngLat.toArray() as Position]);
    });
  }

  get active(): boolean {
    return this.#active;
  }

  start(): void {
    this.#active = true;
    this.#way = [];
    this.map.doubleClickZoom.disable();
    this.map.getContainer().classList.add("measuring");
    this.#show(this.#way);
  }

  stop(): boolean {
    if (!this.#active) return false;
    this.#active = false;
    this.#way = [];
    this.map.getContainer().classList.remove("measuring");
    this.map.doubleClickZoom.enable();
    this.#paint([]);
    this.told(null);
    return true;
  }

  /** A key while measuring: Backspace takes a place back, a blank adds the middle of the map. */
  press(key: string): boolean {
    if (!this.#active) return false;
    if (key === "Backspace") {
      this.#way.pop();
      this.#show(this.#way);
    } else if (key === " " && document.activeElement === this.map.getCanvas()) {
      this.#add(this.map.getCenter().toArray() as Position);
    } else return false;
    return true;
  }

  #add(at: Position): void {
    const last = this.#way.at(-1);
    if (last && this.map.project(last).dist(this.map.project(at)) < 2) return; // the second of a double click
    this.#way.push(at);
    this.#show(this.#way);
  }

  #show(way: Position[]): void {
    this.#paint(way);
    this.told(sayMeasured(way));
  }

  #paint(way: Position[]): void {
    const parts = [
      ...way.map((at) => ({ type: "Point" as const, coordinates: at })),
      ...(way.length > 1 ? [{ type: "LineString" as const, coordinates: way }] : []),
      ...(way.length > 2 ? [{ type: "Polygon" as const, coordinates: [[...way, way[0]!]] }] : []),
    ];
    const features = parts.map((geometry) => ({ type: "Feature" as const, properties: {}, geometry }));
    this.map.getSource<GeoJSONSource>(SOURCE)?.setData({ type: "FeatureCollection", features });
  }
}
