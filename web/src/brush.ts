// A brush on the map: it tells where it is drawn, stroke after stroke, by mouse, finger, pen, or key.
import type { GeoJSONSource, Map as MapLibre } from "maplibre-gl";
import { h } from "./dom";
import { NOTHING } from "./mapstyle";
import type { Geometry, Position } from "./types";

export interface BrushActions {
  begin: () => void;
  along: (at: Position, radiusM: number) => void;
  /** `moved`: whether it was more than a click; null where the stroke was given up. */
  end: (moved: boolean | null) => void;
}

export const RADIUS_PX = 12;
const STEP_PX = 3;
const EARTH_M = 40_075_017;
const WORLD_PX = 512;

export class Brush {
  #active = false;
  #pointer: number | null = null;
  #last = { x: 0, y: 0 };
  #way: Position[] = [];
  readonly #cursor = h("div", { class: "brush", hidden: true });

  constructor(
    readonly map: MapLibre,
    readonly actions: BrushActions,
  ) {
    const canvas = map.getCanvasContainer();
    canvas.append(this.#cursor);
    canvas.addEventListener("pointerdown", this.#down);
    canvas.addEventListener("pointermove", this.#move);
    canvas.addEventListener("pointerup", this.#up);
    canvas.addEventListener("pointercancel", this.#giveUp);
    canvas.addEventListener("pointerleave", () => {
      this.#cursor.hidden = true;
    });
    for (const side of ["width", "height"] as const) this.#cursor.style[side] = `${2 * RADIUS_PX}px`;
  }

  get active(): boolean {
    return this.#active;
  }

  start(): void {
    this.#active = true;
    this.map.getContainer().classList.add("painting");
    this.map.dragPan.disable();
    this.map.boxZoom.disable();
    this.map.doubleClickZoom.disable();
  }

  stop(): boolean {
    if (!this.#active) return false;
    this.#giveUp();
    this.#active = false;
    this.#cursor.hidden = true;
    this.map.getContainer().classList.remove("painting");
    this.map.dragPan.enable();
    this.map.boxZoom.enable();
    this.map.doubleClickZoom.enable();
    this.show([]);
    return true;
  }

  /** A blank dabs the middle of the map. */
  press(key: string): boolean {
    if (!this.#active || key !== " " || document.activeElement !== this.map.getCanvas()) return false;
    this.actions.begin();
    this.#tell(this.map.getCenter().toArray() as Position);
    this.actions.end(false);
    return true;
  }

  /** Outlines what has been gathered. */
  show(gathered: Geometry[]): void {
    this.#set("gathered", {
      type: "FeatureCollection",
      features: gathered.map((geometry) => ({ type: "Feature", properties: {}, geometry })),
    });
  }

  readonly #down = (event: PointerEvent): void => {
    if (!this.#active) return;
    if (this.#pointer !== null) {
      this.#giveUp(); // two fingers move the map
      return;
    }
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    this.map.getCanvas().focus({ preventScroll: true });
    this.map.getCanvasContainer().setPointerCapture(event.pointerId);
    this.#pointer = event.pointerId;
    this.#way = [];
    this.actions.begin();
    this.#add(event);
  };

  readonly #move = (event: PointerEvent): void => {
    if (!this.#active) return;
    const at = this.#point(event);
    this.#cursor.hidden = event.pointerType === "touch" && this.#pointer === null;
    this.#cursor.style.transform = `translate(${at.x - RADIUS_PX}px, ${at.y - RADIUS_PX}px)`;
    if (event.pointerId !== this.#pointer || Math.hypot(at.x - this.#last.x, at.y - this.#last.y) < STEP_PX) return;
    this.#add(event);
  };

  readonly #up = (event: PointerEvent): void => {
    if (event.pointerId !== this.#pointer) return;
    this.#finish(this.#way.length > 1);
  };

  readonly #giveUp = (): void => {
    if (this.#pointer !== null) this.#finish(null);
  };

  #finish(moved: boolean | null): void {
    this.#pointer = null;
    this.#set("stroke", NOTHING);
    this.actions.end(moved);
  }

  #add(event: PointerEvent): void {
    this.#last = this.#point(event);
    const at = this.map.unproject([this.#last.x, this.#last.y]).toArray() as Position;
    this.#way.push(at);
    const coordinates = this.#way.length > 1 ? this.#way : [at, at];
    this.#set("stroke", { type: "Feature", properties: {}, geometry: { type: "LineString", coordinates } });
    this.#tell(at);
  }

  #tell(at: Position): void {
    const perPixel = (EARTH_M * Math.cos((at[1] * Math.PI) / 180)) / (WORLD_PX * 2 ** this.map.getZoom());
    this.actions.along(at, Math.min(RADIUS_PX * perPixel, 100_000));
  }

  #point(event: PointerEvent): { x: number; y: number } {
    const frame = this.map.getContainer().getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  #set(source: string, data: Parameters<GeoJSONSource["setData"]>[0]): void {
    this.map.getSource<GeoJSONSource>(source)?.setData(data);
  }
}
