// The corners of the area to search in, as handles on the map: to be dragged, added and removed, by hand or by key.
import type { Map as MapLibre } from "maplibre-gl";
import { Marker } from "maplibre-gl";
import { unwrap } from "./card";
import { h } from "./dom";
import type { Drawn } from "./draw";
import { crossesItself, wrap } from "./draw";
import { texts } from "./language";
import { count } from "./numbers";
import type { Question } from "./state";
import type { BBox, Position } from "./types";

type Area = Pick<Question, "bbox" | "area">;

const MOST = 300;
const STEP_PX = 8;
const PAUSE_MS = 400;
const STEPS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

interface Actions {
  /** Told of an area to ask for; of nothing where what was done cannot be. */
  changed: (drawn: Drawn | null) => void;
  refused: (reason: string) => void;
  /** Shows an area that is not asked for yet. */
  preview: (polygons: Position[][][]) => void;
}

/** The rings of an area, polygon by polygon, none ending where it begins. */
export function ringsOf({ bbox, area }: Area): Position[][][] {
  if (bbox) {
    const [west, south, east, north] = unwrap(bbox);
    return [
      [
        [
          [west, south],
          [east, south],
          [east, north],
          [west, north],
        ],
      ],
    ];
  }
  if (!area) return [];
  const polygons = area.type === "Polygon" ? [area.coordinates] : area.coordinates;
  return polygons.map((rings) => rings.map((ring) => ring.slice(0, -1)));
}

export class Corners {
  #active = false;
  #isBox = false;
  #polygons: Position[][][] = [];
  #markers: Marker[] = [];
  #timer = 0;

  constructor(
    readonly map: MapLibre,
    readonly actions: Actions,
  ) {}

  get active(): boolean {
    return this.#active;
  }

  /** Starts or stops; whether corners can be moved now. */
  toggle(area: Area): boolean {
    if (this.stop()) return false;
    const polygons = ringsOf(area);
    const total = polygons.flat(2).length;
    if (!total) return false;
    if (total > MOST) {
      this.actions.refused(texts.map.manyCorners(count(total), count(MOST)));
      return false;
    }
    this.#active = true;
    this.follow(area);
    return true;
  }

  stop(): boolean {
    if (!this.#active) return false;
    if (this.#timer) this.#commit();
    this.#active = false;
    this.#clear();
    return true;
  }

  /** Takes another area, as the browser's Back brings one; none ends the editing. */
  follow(area: Area): void {
    if (!this.#active) return;
    this.#isBox = Boolean(area.bbox);
    this.#polygons = ringsOf(area);
    if (!this.#polygons.length) this.stop();
    else this.#draw();
  }

  #clear(): void {
    clearTimeout(this.#timer);
    this.#timer = 0;
    for (const marker of this.#markers) marker.remove();
    this.#markers = [];
  }

  #draw(): void {
    const focused = this.#markers.findIndex((marker) => marker.getElement() === document.activeElement);
    this.#clear();
    let number = 0;
    const total = this.#polygons.flat(2).length;
    const middles: (() => void)[] = [];
    const nameCorner = this.#isBox ? texts.map.corner : texts.map.outlineCorner;
    for (const ring of this.#polygons.flat()) {
      for (const [i, at] of ring.entries()) {
        number += 1;
        this.#handle(ring, i, at, nameCorner(number, total));
        if (this.#isBox) continue;
        const next = ring[(i + 1) % ring.length]!;
        const middle: Position = [(at[0] + next[0]) / 2, (at[1] + next[1]) / 2];
        const name = texts.map.addCorner(number);
        middles.push(() => this.#middle(ring, i + 1, middle, name));
      }
    }
    for (const add of middles) add();
    this.#markers[focused]?.getElement().focus();
  }

  #handle(ring: Position[], i: number, at: Position, name: string): void {
    const marker = this.#mark("corner", at, name, (event) => this.#press(event, ring, i));
    marker.on("drag", () => this.#move(ring, i, marker.getLngLat().toArray() as Position));
    marker.on("dragend", () => this.#commit());
  }

  #middle(ring: Position[], i: number, at: Position, name: string): void {
    const add = (where: Position): void => {
      ring.splice(i, 0, where);
      this.#commit();
    };
    const marker = this.#mark("corner middle", at, name, (event) => {
      if (event.key !== "Enter" && event.key !== " ") return false;
      add(at);
      return true;
    });
    let dragged = false;
    marker.on("drag", () => {
      dragged = true;
      const shown = this.#polygons.map((rings) =>
        rings.map((own) => (own === ring ? own.toSpliced(i, 0, marker.getLngLat().toArray() as Position) : own)),
      );
      this.actions.preview(shown);
    });
    marker.on("dragend", () => dragged && add(marker.getLngLat().toArray() as Position));
  }

  #mark(className: string, at: Position, name: string, press: (event: KeyboardEvent) => boolean): Marker {
    const element = h("button", {
      type: "button",
      class: className,
      onclick: (event: Event) => event.stopPropagation(),
      onkeydown: (event: KeyboardEvent) => {
        if (event.altKey || event.ctrlKey || event.metaKey || !press(event)) return;
        event.preventDefault();
        event.stopPropagation();
      },
    });
    const marker = new Marker({ element, draggable: true }).setLngLat(at).addTo(this.map);
    element.removeAttribute("role");
    element.setAttribute("aria-label", name);
    element.title = name;
    this.#markers.push(marker);
    return marker;
  }

  #press(event: KeyboardEvent, ring: Position[], i: number): boolean {
    if ((event.key === "Delete" || event.key === "Backspace") && !this.#isBox) {
      if (ring.length <= 3) this.actions.refused(texts.map.fewCorners);
      else {
        ring.splice(i, 1);
        this.#commit();
      }
      return true;
    }
    const step = STEPS[event.key];
    if (!step) return false;
    const by = event.shiftKey ? 1 : STEP_PX;
    const { x, y } = this.map.project(ring[i]!);
    this.#move(ring, i, this.map.unproject([x + by * step[0], y + by * step[1]]).toArray() as Position);
    for (const [j, at] of this.#polygons.flat(2).entries()) this.#markers[j]?.setLngLat(at);
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#commit(), PAUSE_MS);
    return true;
  }

  #move(ring: Position[], i: number, to: Position): void {
    const at: Position = [to[0], Math.min(90, Math.max(-90, to[1]))];
    if (this.#isBox) {
      // The corners beside it keep their own other side: south-west, south-east, north-east, north-west.
      const [level, upright] = i % 2 ? [(i + 3) % 4, (i + 1) % 4] : [(i + 1) % 4, (i + 3) % 4];
      ring[level]![1] = at[1];
      ring[upright]![0] = at[0];
    }
    ring[i] = at;
    this.actions.preview(this.#polygons);
  }

  #commit(): void {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const rings = this.#polygons.flat();
    if (rings.some(crossesItself)) {
      this.actions.refused(texts.map.wouldCross);
      this.actions.changed(null);
      return;
    }
    this.actions.changed(this.#isBox ? { bbox: boxOf(rings[0]!) } : this.#whole());
  }

  #whole(): Drawn {
    const closed = this.#polygons.map((rings) => rings.map((ring) => [...ring, ring[0]!]));
    const only = closed[0];
    return {
      area:
        only && closed.length === 1
          ? { type: "Polygon", coordinates: only }
          : { type: "MultiPolygon", coordinates: closed },
    };
  }
}

function boxOf(ring: Position[]): BBox {
  const [xs, ys] = [ring.map((at) => at[0]), ring.map((at) => at[1])];
  return [wrap(Math.min(...xs)), Math.min(...ys), wrap(Math.max(...xs)), Math.max(...ys)];
}
