// The map: scenes as its background, results as numbered outlines on them. Loaded after the page can already search.
import type { GeoJSONSource } from "maplibre-gl";
import { LngLatBounds, Map as MapLibre, Marker, NavigationControl, ScaleControl, setWorkerUrl } from "maplibre-gl";
import { keyHeaders, resolve } from "./api";
import type { Card } from "./card";
import { centreOf, joinBoxes, unwrap } from "./card";
import type { Compared } from "./compare";
import { Compare } from "./compare";
import type { BrushActions } from "./brush";
import { Brush } from "./brush";
import { Corners, ringsOf } from "./corners";
import { thin } from "./crowd";
import { h, reducesMotion } from "./dom";
import type { Drawing, Drawn } from "./draw";
import { Draw } from "./draw";
import type { Mark } from "./grid";
import { texts } from "./language";
import { makeStyle, NOTHING, token } from "./mapstyle";
import { Ground } from "./ground";
import { HeatLayer } from "./heat";
import { Measure } from "./measure";
import type { Said } from "./said";
import type { Shown } from "./scenery";
import { Scenery } from "./scenery";
import type { Background, Question } from "./state";
import type { BBox, Geometry, Position, Scene, SearchBody } from "./types";

declare const MAP_WORKER: string;
setWorkerUrl(new URL(`./${MAP_WORKER}`, import.meta.url).href);

export type Quad = [Position, Position, Position, Position];

export interface MapActions {
  hover: (key: string) => void;
  select: (key: string) => void;
  moved: (centre: Position, zoom: number) => void;
  drawn: (drawn: Drawn | null) => void;
  refused: (reason: Said) => void;
  /** A click where no result is. */
  ground: (at: Position) => void;
  /** Where the cursor is, or the middle of the map where there is none. */
  cursor: (at: Position) => void;
  measured: (text: string | null) => void;
  /** The border between two days was dragged. */
  split: (percent: number) => void;
  brush: BrushActions;
}

/** Pictures are asked for with the key, if there is one: unlike an img, this request can carry it. */
const withKey = (url: string): { url: string; headers: Record<string, string> } => ({
  url,
  headers: url.startsWith(resolve("")) ? keyHeaders() : {},
});
const EASE_MS = 350;
const LEAST_SEEN_PX = 60;
const MAX_ZOOM = 21;
const CLOSEST_ZOOM = 17.5;
/** Results, the best, that have a pin beside their outline: each is an element that moves with the map. */
const MOST_PINS = 500;

export class MapPane {
  readonly #map: MapLibre;
  readonly #draw: Draw;
  readonly #corners: Corners;
  readonly #scenery: Scenery;
  readonly #ground: Ground;
  readonly #measure: Measure;
  readonly #compare: Compare;
  readonly #brush: Brush;
  readonly #heat: HeatLayer;
  readonly #ready: Promise<void>;
  readonly #markers = new Map<string, Marker>();
  /** Whether the view shows what somebody or something chose, and is no mere beginning. */
  #chosen: boolean;
  #marked: string[] = [];
  #hovered = "";
  #selected = "";

  constructor(
    container: HTMLElement,
    readonly actions: MapActions,
    start: { centre: Position | null; zoom: number },
    tiles: { url: string; credit: string } | null,
  ) {
    this.#chosen = start.centre !== null;
    this.#map = new MapLibre({
      container,
      style: makeStyle(),
      center: start.centre ?? [0, 20],
      zoom: start.centre ? start.zoom : 1,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      renderWorldCopies: true,
      fadeDuration: 0,
      maxZoom: MAX_ZOOM,
      transformRequest: withKey,
      locale: {
        "NavigationControl.ZoomIn": texts.map.zoomIn,
        "NavigationControl.ZoomOut": texts.map.zoomOut,
        "ScaleControl.Meters": texts.map.m,
        "ScaleControl.Kilometers": texts.map.km,
        "Map.Title": texts.map.label,
      },
    });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.keyboard.disableRotation();
    this.#map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
    this.#map.addControl(new ScaleControl({ maxWidth: 120 }), "bottom-left");
    this.#map.getCanvas().setAttribute("aria-label", texts.map.canvas);
    this.#draw = new Draw(this.#map, actions.drawn, actions.refused);
    this.#corners = new Corners(this.#map, {
      changed: actions.drawn,
      refused: actions.refused,
      preview: (polygons) => this.#showArea(polygons),
    });
    this.#scenery = new Scenery(this.#map, "scene-line");
    this.#ground = new Ground(this.#map, tiles);
    this.#measure = new Measure(this.#map, actions.measured);
    this.#brush = new Brush(this.#map, actions.brush);
    this.#compare = new Compare(this.#map, { transformRequest: withKey, maxZoom: MAX_ZOOM }, actions.split);
    this.#heat = new HeatLayer(this.#map, { above: "area-fill", bounds: () => this.bounds(), failed: actions.refused });
    this.#ready = new Promise((done) => this.#map.once("load", () => done()));
    this.#listen();
    void this.#ready.then(() => this.#ground.drawWorld());
  }

  /** Whether what happens on the map opens nothing: it belongs to a drawing, a brush, or corners that are moved. */
  get #busy(): boolean {
    return this.#draw.busy || this.#corners.active || this.#measure.active || this.#brush.active;
  }

  #listen(): void {
    this.#map.on("move", () => thin(this.#map, this.#markers.values()));
    this.#map.on("moveend", () => {
      if (!this.#chosen) return;
      const { lng, lat } = this.#map.getCenter();
      this.actions.moved([lng, lat], this.#map.getZoom());
    });
    this.#map.on("mousemove", "hit-fill", (event) => {
      if (this.#busy) return;
      this.#map.getCanvas().style.cursor = "pointer";
      this.actions.hover(String(event.features?.[0]?.properties.key ?? ""));
    });
    this.#map.on("mouseleave", "hit-fill", () => {
      this.#map.getCanvas().style.cursor = "";
      this.actions.hover("");
    });
    this.#map.on("click", "hit-fill", (event) => {
      const key = event.features?.[0]?.properties.key as string | undefined;
      if (key && !this.#busy) this.actions.select(key);
    });
    this.#map.on("click", (event) => {
      if (this.#busy || this.#map.queryRenderedFeatures(event.point, { layers: ["hit-fill"] }).length) return;
      this.actions.ground(event.lngLat.wrap().toArray() as Position);
    });
    let hasCursor = false;
    this.#map.on("mousemove", (event) => {
      hasCursor = true;
      this.actions.cursor(event.lngLat.wrap().toArray() as Position);
    });
    this.#map.on("mouseout", () => {
      hasCursor = false;
    });
    this.#map.on("move", () => {
      if (!hasCursor) this.actions.cursor(this.#map.getCenter().wrap().toArray() as Position);
    });
    const container = this.#map.getContainer();
    container.setAttribute("aria-busy", "true");
    this.#map.on("dataloading", () => container.setAttribute("aria-busy", "true"));
    this.#map.on("idle", () => container.removeAttribute("aria-busy"));
    // An overview that cannot be had leaves the outline of its scene.
    this.#map.on("error", () => undefined);
  }

  async setScenes(scenes: Scene[]): Promise<void> {
    await this.#ready;
    const placed = scenes.filter((scene) => scene.footprint && scene.bbox);
    this.#set("scenes", {
      type: "FeatureCollection",
      features: placed.map((scene) => ({ type: "Feature", properties: {}, geometry: scene.footprint! })),
    });
    this.#set("dots", {
      type: "FeatureCollection",
      features: placed.map((scene) => ({
        type: "Feature",
        properties: {},
        geometry: { type: "Point", coordinates: centreOf(scene.bbox!) },
      })),
    });
    this.#scenery.set(scenes);
  }

  /** Lays another scene over part of the map; null takes it away. */
  async compare(compared: Compared | null): Promise<void> {
    await this.#ready;
    this.#compare.show(compared);
  }

  /** Colours everything in view by how well it fits a search; null: nothing. */
  async heat(body: SearchBody | null): Promise<void> {
    await this.#ready;
    this.#heat.show(body);
  }

  /** What lies under the scenes. */
  async setBackground(kind: Background): Promise<void> {
    await this.#ready;
    this.#ground.show(kind);
  }

  /** Which of the scenes are drawn, and which of them above the others. */
  async showScenes(shown: Shown): Promise<void> {
    await this.#ready;
    this.#scenery.show(shown);
  }

  /** Draws results; those below the threshold of relevance are fainter than those that match. */
  async setCards(cards: Card[], threshold: number): Promise<void> {
    await this.#ready;
    const placed = cards.filter((card) => card.geometry);
    this.#set("hits", {
      type: "FeatureCollection",
      features: placed.map((card) => ({
        type: "Feature",
        properties: { key: card.key, rank: card.rank ?? 0, faint: isFaint(card, threshold) },
        geometry: card.geometry!,
      })),
    });
    this.#map.removeFeatureState({ source: "hits" });
    for (const marker of this.#markers.values()) marker.remove();
    this.#markers.clear();
    for (const card of placed.slice(0, MOST_PINS)) {
      if (card.position && card.rank !== null) this.#pin(card, card.position, isFaint(card, threshold));
    }
    thin(this.#map, this.#markers.values());
    this.#raise(this.#hovered, "hovered", true);
    this.#raise(this.#selected, "selected", true);
  }

  #pin(card: Card, position: Position, faint: boolean): void {
    const pin = h("div", {
      class: faint ? "pin faint" : "pin",
      onpointerenter: () => this.actions.hover(card.key),
      onpointerleave: () => this.actions.hover(""),
      onclick: (event: Event) => {
        event.stopPropagation();
        if (!this.#busy) this.actions.select(card.key);
      },
    });
    pin.append(h("span", {}, String(card.rank)));
    const marker = new Marker({ element: pin }).setLngLat(position).addTo(this.#map);
    // The grid says all of this to those who do not see the map.
    for (const name of ["role", "tabindex", "aria-label"]) pin.removeAttribute(name);
    pin.setAttribute("aria-hidden", "true");
    pin.style.zIndex = String(1000 - (card.rank ?? 0));
    this.#markers.set(card.key, marker);
  }

  /** Marks results, and outlines tiles that are marked and are no results. */
  async mark(right: string[], wrong: string[], others: { geometry: Geometry; mark: Mark }[]): Promise<void> {
    await this.#ready;
    this.#set("marked", {
      type: "FeatureCollection",
      features: others.map(({ geometry, mark }) => ({ type: "Feature", properties: { mark }, geometry })),
    });
    const marks = new Map<string, Mark>([...right.map((key) => [key, "right"] as const), ...wrong.map((key) => [key, "wrong"] as const)]);
    for (const key of new Set([...this.#marked, ...marks.keys()])) {
      const mark = marks.get(key) ?? "";
      this.#map.setFeatureState({ source: "hits", id: key }, { mark });
      const pin = this.#markers.get(key)?.getElement();
      pin?.classList.toggle("right", mark === "right");
      pin?.classList.toggle("wrong", mark === "wrong");
    }
    this.#marked = [...marks.keys()];
  }

  hover(key: string): void {
    if (key === this.#hovered) return;
    const before = this.#hovered;
    this.#hovered = key;
    void this.#ready.then(() => {
      this.#raise(before, "hovered", before === this.#hovered);
      this.#raise(key, "hovered", key === this.#hovered);
    });
  }

  select(key: string): void {
    if (key === this.#selected) return;
    const before = this.#selected;
    this.#selected = key;
    void this.#ready.then(() => {
      this.#raise(before, "selected", before === this.#selected);
      this.#raise(key, "selected", key === this.#selected);
    });
  }

  /** One of the results: that which is pointed at, or chosen; others are not touched, of which there may be thousands. */
  #raise(key: string, how: "hovered" | "selected", on: boolean): void {
    if (!key) return;
    this.#map.setFeatureState({ source: "hits", id: key }, { [how]: on });
    this.#markers.get(key)?.getElement().classList.toggle(how, on);
  }

  /** Shows the question's box or outlines. */
  async setArea(area: Pick<Question, "bbox" | "area">): Promise<void> {
    await this.#ready;
    this.#showArea(ringsOf(area));
    this.#corners.follow(area);
  }

  #showArea(polygons: Position[][][]): void {
    const closed = polygons.map((rings) => rings.map((ring) => [...ring, ring[0]!]));
    this.#set("area", { type: "Feature", properties: {}, geometry: { type: "MultiPolygon", coordinates: closed } });
  }

  /** Lets corners be moved, or no longer; whether they can be now. */
  toggleCorners(area: Pick<Question, "bbox" | "area">): boolean {
    this.#measure.stop();
    return this.#corners.toggle(area);
  }

  get editing(): boolean {
    return this.#corners.active;
  }

  stopEditing(): boolean {
    return this.#corners.stop();
  }

  /** Outlines what was chosen and is no result. */
  async outline(geometry: Geometry | null): Promise<void> {
    await this.#ready;
    this.#set("chosen", geometry ? { type: "Feature", properties: {}, geometry } : NOTHING);
  }

  /** Lays pictures over a tile: its own, sharper than the scene's overview, and the heat map. */
  async lay(pictures: { url: string; opacity: number }[], corners: Quad | null): Promise<void> {
    await this.#ready;
    for (const id of ["laid-0", "laid-1"]) {
      if (this.#map.getLayer(id)) this.#map.removeLayer(id);
      if (this.#map.getSource(id)) this.#map.removeSource(id);
    }
    if (!corners) return;
    for (const [i, { url, opacity }] of pictures.entries()) {
      const source = `laid-${i}`;
      this.#map.addSource(source, { type: "image", url, coordinates: corners });
      const paint = { "raster-fade-duration": 0, "raster-opacity": opacity };
      this.#map.addLayer({ id: source, type: "raster", source, paint }, "area-fill");
    }
  }

  /** Starts or stops to measure; whether it measures now. */
  toggleMeasuring(): boolean {
    if (this.#measure.stop()) return false;
    this.cancelDrawing();
    this.#corners.stop();
    this.#measure.start();
    return true;
  }

  stopMeasuring(): boolean {
    return this.#measure.stop();
  }

  startBrush(): void {
    this.cancelDrawing();
    this.#corners.stop();
    this.#measure.stop();
    this.#brush.start();
  }

  stopBrush(): void {
    this.#brush.stop();
  }

  showGathered(outlines: Geometry[]): void {
    this.#brush.show(outlines);
  }

  /** Scenes, by their ids, as they lie on each other, the topmost first; what is not drawn is not among them. */
  get order(): string[] {
    return this.#scenery.order;
  }

  draw(kind: Drawing): void {
    this.#measure.stop();
    this.#corners.stop();
    this.#draw.start(kind);
  }

  get drawing(): Drawing | null {
    return this.#draw.kind;
  }

  press(key: string): boolean {
    return this.#draw.press(key) || this.#measure.press(key) || this.#brush.press(key);
  }

  cancelDrawing(): boolean {
    return this.#draw.cancel();
  }

  bounds(): BBox {
    const view = this.#map.getBounds();
    const wide = view.getEast() - view.getWest() >= 360;
    const clamp = (latitude: number): number => Math.min(90, Math.max(-90, latitude));
    const wrap = (longitude: number): number => ((((longitude + 180) % 360) + 360) % 360) - 180;
    return [
      wide ? -180 : wrap(view.getWest()),
      clamp(view.getSouth()),
      wide ? 180 : wrap(view.getEast()),
      clamp(view.getNorth()),
    ];
  }

  jump(centre: Position, zoom: number): void {
    this.#map.jumpTo({ center: centre, zoom });
  }

  /** Shows all of a box. */
  fit(box: BBox | null, options: { animate: boolean }): void {
    if (!box) return;
    this.#chosen = true;
    const [west, south, east, north] = unwrap(box);
    this.#map.fitBounds([west, south, east, north], {
      padding: 48,
      maxZoom: CLOSEST_ZOOM,
      duration: EASE_MS,
      animate: options.animate && !reducesMotion(),
    });
  }

  /** Shows the results, unless at least half of them are in view already: the map does not move without need. */
  fitCards(cards: Card[]): void {
    const boxes = cards.map((card) => card.bbox).filter((box): box is BBox => box !== null);
    const view = this.#map.getBounds();
    const seen = boxes.filter((box) => view.contains(centreOf(box))).length;
    if (boxes.length && seen < boxes.length / 2) this.fit(joinBoxes(boxes), { animate: true });
  }

  /** Brings a result into view, closer if it is too small to see. */
  reveal(card: Card, options: { closer: boolean }): void {
    if (!card.bbox) return;
    const [west, south, east, north] = unwrap(card.bbox);
    const view = this.#map.getBounds();
    const inside = view.contains([west, south]) && view.contains([east, north]);
    if (inside && !options.closer) return;
    const shape = new LngLatBounds([west, south, east, north]);
    const fitted = this.#map.cameraForBounds(shape, { padding: 120, maxZoom: CLOSEST_ZOOM });
    const zoom = options.closer
      ? (fitted?.zoom ?? this.#map.getZoom())
      : Math.min(this.#map.getZoom(), fitted?.zoom ?? 22);
    this.#map.easeTo({ center: centreOf(card.bbox), zoom, duration: EASE_MS, animate: !reducesMotion() });
  }

  /** Goes closer to a result that is too small on the screen to see anything of it. */
  revealSmall(card: Card): void {
    if (!card.bbox) return;
    const [west, south, east, north] = unwrap(card.bbox);
    const [a, b] = [this.#map.project([west, north]), this.#map.project([east, south])];
    if (a.dist(b) < LEAST_SEEN_PX) this.reveal(card, { closer: true });
  }

  resize(): void {
    this.#map.resize();
  }

  /** Takes its background from the page's theme. */
  async recolour(): Promise<void> {
    await this.#ready;
    this.#map.setPaintProperty("ground", "background-color", token("--map-ground"));
    this.#map.setPaintProperty("world", "fill-color", token("--map-land"));
    this.#map.setPaintProperty("scene-dot", "circle-color", token("--map-dot"));
    this.#map.setPaintProperty("scene-dot", "circle-stroke-color", token("--map-ground"));
    this.#map.setPaintProperty("graticule", "line-color", token("--map-line"));
    this.#map.setPaintProperty("scene-line", "line-color", token("--map-line"));
  }

  #set(source: string, data: Parameters<GeoJSONSource["setData"]>[0]): void {
    this.#map.getSource<GeoJSONSource>(source)?.setData(data);
  }
}

const isFaint = (card: Card, threshold: number): boolean => card.relevance !== null && card.relevance < threshold;
