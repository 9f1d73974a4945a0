// Drawing a box or an outline on the map by hand.
import type { GeoJSONSource, Map as MapLibre, MapMouseEvent } from "maplibre-gl";
import { texts } from "./language";
import type { BBox, Geometry, Position } from "./types";

export type Drawing = "box" | "polygon";
export type Drawn = { bbox: BBox } | { area: Geometry };

const SOURCE = "drawing";
const LEAST_PX = 6;
const CLOSE_PX = 12;

/** What is being drawn on a map; `done` is told the result, or null when drawing stops without one. */
export class Draw {
  #kind: Drawing | null = null;
  #corners: Position[] = [];
  #start: { x: number; y: number } | null = null;
  /** The event that ended the drawing still runs: it means nothing else. */
  #ending = false;

  constructor(
    readonly map: MapLibre,
    readonly done: (drawn: Drawn | null) => void,
    readonly refuse: (reason: string) => void,
  ) {
    const canvas = map.getCanvasContainer();
    canvas.addEventListener("pointerdown", this.#down);
    canvas.addEventListener("pointermove", this.#move);
    canvas.addEventListener("pointerup", this.#up);
    map.on("click", this.#click);
    map.on("dblclick", this.#finish);
    map.on("mousemove", this.#follow);
  }

  get kind(): Drawing | null {
    return this.#kind;
  }

  /** Whether what happens on the map belongs to a drawing, and opens nothing. */
  get busy(): boolean {
    return this.#kind !== null || this.#ending;
  }

  start(kind: Drawing): void {
    this.#reset();
    this.#kind = kind;
    this.map.getContainer().classList.add("drawing");
    this.map.doubleClickZoom.disable();
    if (kind === "box") this.map.dragPan.disable();
  }

  /** A key while drawing; whether it meant something. */
  press(key: string): boolean {
    if (this.#kind !== "polygon") return false;
    if (key === "Enter" && this.#corners.length >= 3) this.#finish();
    else if (key === "Backspace") {
      this.#corners.pop();
      this.#paint(this.#corners);
    } else return false;
    return true;
  }

  cancel(): boolean {
    if (!this.#kind) return false;
    this.#end(null);
    return true;
  }

  readonly #down = (event: PointerEvent): void => {
    if (this.#kind !== "box" || event.button !== 0 || this.#start) return;
    event.preventDefault();
    this.map.getCanvasContainer().setPointerCapture(event.pointerId);
    this.#start = this.#point(event);
  };

  readonly #move = (event: PointerEvent): void => {
    if (this.#start) this.#paint(this.#boxRing(this.#start, this.#point(event)));
  };

  readonly #up = (event: PointerEvent): void => {
    if (!this.#start) return;
    const [start, end] = [this.#start, this.#point(event)];
    this.#start = null;
    if (Math.abs(end.x - start.x) < LEAST_PX || Math.abs(end.y - start.y) < LEAST_PX) {
      this.#paint([]);
      return;
    }
    const ring = this.#boxRing(start, end);
    const [east, west] = [Math.max(...ring.map((at) => at[0])), Math.min(...ring.map((at) => at[0]))];
    const [north, south] = [Math.max(...ring.map((at) => at[1])), Math.min(...ring.map((at) => at[1]))];
    this.#end({ bbox: [wrap(west), Math.max(south, -90), wrap(east), Math.min(north, 90)] });
  };

  readonly #click = (event: MapMouseEvent): void => {
    if (this.#kind !== "polygon") return;
    const first = this.#corners[0];
    if (first && this.#corners.length >= 3 && this.map.project(first).dist(event.point) < CLOSE_PX) {
      this.#finish();
      return;
    }
    const last = this.#corners.at(-1);
    // The second click of a double click finishes and is no corner of its own.
    if (last && this.map.project(last).dist(event.point) < 2) return;
    this.#corners.push([event.lngLat.lng, event.lngLat.lat]);
    this.#paint(this.#corners);
  };

  readonly #follow = (event: MapMouseEvent): void => {
    if (this.#kind === "polygon" && this.#corners.length) {
      this.#paint([...this.#corners, [event.lngLat.lng, event.lngLat.lat]]);
    }
  };

  readonly #finish = (): void => {
    if (this.#kind !== "polygon" || this.#corners.length < 3) return;
    const ring = this.#corners;
    if (crossesItself(ring)) {
      this.refuse(texts.map.crossesItself);
      return;
    }
    this.#end({ area: { type: "Polygon", coordinates: [[...ring, ring[0]!]] } });
  };

  #point(event: PointerEvent): { x: number; y: number } {
    const frame = this.map.getContainer().getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  #boxRing(a: { x: number; y: number }, b: { x: number; y: number }): Position[] {
    const at = (x: number, y: number): Position => this.map.unproject([x, y]).toArray() as Position;
    return [at(a.x, a.y), at(b.x, a.y), at(b.x, b.y), at(a.x, b.y)];
  }

  #paint(ring: Position[]): void {
    const source = this.map.getSource<GeoJSONSource>(SOURCE);
    const first = ring[0];
    source?.setData({
      type: "Feature",
      properties: {},
      geometry: first
        ? { type: "LineString", coordinates: ring.length > 1 ? [...ring, first] : [first, first] }
        : { type: "LineString", coordinates: [] },
    });
  }

  #reset(): void {
    this.#kind = null;
    this.#corners = [];
    this.#start = null;
    this.#paint([]);
    this.map.getContainer().classList.remove("drawing");
    this.map.dragPan.enable();
  }

  #end(drawn: Drawn | null): void {
    this.#reset();
    this.#ending = true;
    setTimeout(() => {
      this.#ending = false;
    });
    // Only now, or the double click that ended the outline would zoom as well.
    setTimeout(() => this.map.doubleClickZoom.enable(), 300);
    this.done(drawn);
  }
}

/** Whether two sides of a closed outline meet that are no neighbours. */
export function crossesItself(ring: Position[]): boolean {
  const side = (a: Position, b: Position, at: Position): number =>
    Math.sign((b[0] - a[0]) * (at[1] - a[1]) - (b[1] - a[1]) * (at[0] - a[0]));
  const n = ring.length;
  for (let i = 0; i < n; i += 1) {
    for (let j = i + 2; j < n; j += 1) {
      if (i === 0 && j === n - 1) continue;
      const [a, b, c, d] = [ring[i]!, ring[(i + 1) % n]!, ring[j]!, ring[(j + 1) % n]!];
      if (side(a, b, c) !== side(a, b, d) && side(c, d, a) !== side(c, d, b)) return true;
    }
  }
  return false;
}

export function wrap(longitude: number): number {
  return longitude >= -180 && longitude <= 180 ? longitude : ((((longitude + 180) % 360) + 360) % 360) - 180;
}
