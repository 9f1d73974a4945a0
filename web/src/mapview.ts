// The map as the rest of the page sees it: it comes late, or not at all where a browser has no WebGL, and nothing breaks.
import * as api from "./api";
import type { Card } from "./card";
import { centreOf, covers, findCorners, joinBoxes } from "./card";
import type { Drawing } from "./draw";
import type { MapActions, MapPane } from "./map";
import type { Background, Comparison, Question, View } from "./state";
import { isAsked, toBody } from "./state";
import type { BBox, Geometry, IndexInfo, Position, Scene, Tile } from "./types";

const HEAT_OPACITY = 0.65;
const TILE_PX = 512;

export class MapView {
  #pane: MapPane | null = null;
  #scenes: Scene[] = [];
  #limits = { since: "", until: "", sensor: "", off: [] as string[], opacity: {} as Record<string, number> };
  #background: Background = "none";
  #top = "";
  #cards: Card[] = [];
  #question: Question | null = null;

  /** Fetches the code of the map while something else is waited for. */
  prefetch(): void {
    void import("./map").catch(() => undefined);
  }

  /** Fetches the code of the map, the larger part of the page, and starts it. */
  async load(container: HTMLElement, actions: MapActions, view: View, info: IndexInfo | null): Promise<void> {
    const { MapPane } = await import("./map");
    this.#pane = new MapPane(container, actions, view, info?.background ?? null);
    this.#background = info?.background ? "tiles" : "none";
  }

  /** What is drawn of the scenes, and under them. */
  setLayers({ background, heat, off, opacity }: View): void {
    Object.assign(this.#limits, { off, opacity });
    void this.#pane?.setBackground(background || this.#background);
    this.#showScenes();
    this.#colour(heat);
  }

  /** Colours all tiles by how well they fit, or none. */
  #colour(heat: boolean): void {
    const asked = heat && this.#question && isAsked(this.#question) ? this.#question : null;
    void this.#pane?.heat(asked && toBody(asked));
  }

  async setScenes(scenes: Scene[], view: View): Promise<void> {
    this.#scenes = scenes;
    if (!this.#pane || !scenes.length) return;
    if (!view.centre) this.fitAll({ animate: false });
    await this.#pane.setScenes(scenes);
    this.#showScenes();
  }

  /** What lies on the map is what is spoken of: within the limits of the search, and what was chosen above the rest. */
  #showScenes(): void {
    void this.#pane?.showScenes({ ...this.#limits, top: this.#top });
  }

  /** Of tiles of several scenes those that are seen: the others lie under them, or their scenes are not drawn. */
  onTop(tiles: Tile[]): Tile[] {
    const seen: Tile[] = [];
    for (const scene of this.#pane?.order ?? []) {
      const above = seen.map((tile) => tile.bbox).filter((box): box is BBox => box !== null);
      const isFree = ({ bbox }: Tile): boolean => !bbox || !covers(above, centreOf(bbox));
      seen.push(...tiles.filter((tile) => tile.scene_id === scene && isFree(tile)));
    }
    return seen;
  }

  /** Puts a scene above the others and shows all of it. */
  showScene(scene: Scene): void {
    this.#top = scene.id;
    this.#showScenes();
    this.fit(scene.bbox);
  }

  /** Shows what was found; `still` leaves the view as it is. */
  async show(cards: Card[], threshold: number, question: Question, view: View, options: { still: boolean }): Promise<void> {
    const pane = this.#pane;
    this.#cards = cards;
    this.#question = question;
    if (!pane) return;
    Object.assign(this.#limits, { since: question.since, until: question.until, sensor: question.sensor });
    this.#showScenes();
    this.#colour(view.heat);
    await pane.setArea(question);
    await pane.setCards(cards, threshold);
    this.mark(question.right, question.wrong);
    pane.select(view.selected);
    if (!options.still) pane.fitCards(cards);
  }

  /** Lays a tile over its scene's overview, which is coarser, and where it looks like the words; null takes it away. */
  lay(card: Card | null, words: string): void {
    const scene = this.#scenes.find((own) => own.id === card?.sceneId);
    this.#top = card?.sceneId ?? "";
    this.#showScenes();
    const corners = card && findCorners(card, scene);
    void this.#pane?.outline(card && !this.#cards.some((own) => own.key === card.key) ? card.geometry : null);
    if (!card || !corners) {
      void this.#pane?.lay([], null);
      return;
    }
    const pictures = [{ url: api.withQuery(card.picture, { size: TILE_PX }), opacity: 1 }];
    if (words) pictures.push({ url: api.explanationUrl(card.picture, words, TILE_PX), opacity: HEAT_OPACITY });
    void this.#pane?.lay(pictures, corners);
  }

  /** Lays another scene, by its id, over part of the map. */
  compare(card: Card | null, { against, split, fade }: Comparison): void {
    const scene = this.#scenes.find((own) => own.id === against && own.corners);
    void this.#pane?.compare(card && scene ? { scene, geometry: card.geometry, split, fade } : null);
  }

  setArea(question: Question): void {
    void this.#pane?.setArea(question);
  }

  mark(right: string[], wrong: string[]): void {
    const others = [
      ...right.map((tile) => ({ tile, mark: "right" as const })),
      ...wrong.map((tile) => ({ tile, mark: "wrong" as const })),
    ].filter(({ tile }) => !this.#cards.some((card) => card.key === tile));
    const outlined = others.flatMap(({ tile, mark }) => {
      const geometry = this.#outline(tile);
      return geometry ? [{ geometry, mark }] : [];
    });
    void this.#pane?.mark(right, wrong, outlined);
  }

  /** The outline of a tile of which nothing is known but its id: its scene and its window. */
  #outline(tile: string): Geometry | null {
    const [, name, ...sides] = /^(.*):(\d+),(\d+),(\d+),(\d+)$/s.exec(tile) ?? [];
    const windowPx = sides.map(Number) as [number, number, number, number];
    const corners = name === undefined ? null : findCorners({ windowPx }, this.#scenes.find((own) => own.scene === name));
    return corners && { type: "Polygon", coordinates: [[...corners, corners[0]]] };
  }

  hover(key: string): void {
    this.#pane?.hover(key);
  }

  select(key: string): void {
    this.#pane?.select(key);
    this.#pane?.resize();
  }

  reveal(card: Card, options: { closer: boolean }): void {
    this.#pane?.reveal(card, options);
  }

  revealSmall(card: Card): void {
    this.#pane?.revealSmall(card);
  }

  fit(box: BBox | null): void {
    this.#pane?.fit(box, { animate: true });
  }

  fitAll(options: { animate: boolean }): void {
    this.#pane?.fit(joinBoxes(this.#scenes.map((scene) => scene.bbox)), options);
  }

  jump(centre: Position, zoom: number): void {
    this.#pane?.jump(centre, zoom);
  }

  /** What the map shows; nothing where there is no map. */
  bounds(): BBox | null {
    return this.#pane?.bounds() ?? null;
  }

  /** Starts to draw, or stops if that was being drawn; whether something is being drawn now. */
  toggleDrawing(kind: Drawing): boolean {
    if (!this.#pane) return false;
    if (this.#pane.drawing === kind) {
      this.#pane.cancelDrawing();
      return false;
    }
    this.#pane.draw(kind);
    return true;
  }

  /** Lets the corners of the area be moved, or no longer; whether they can be now. */
  toggleCorners(question: Question): boolean {
    return this.#pane?.toggleCorners(question) ?? false;
  }

  get editing(): boolean {
    return this.#pane?.editing ?? false;
  }

  stopEditing(): boolean {
    return this.#pane?.stopEditing() ?? false;
  }

  /** Whether there is a map to paint on. */
  startBrush(): boolean {
    this.#pane?.startBrush();
    return this.#pane !== null;
  }

  stopBrush(): void {
    this.#pane?.stopBrush();
  }

  showGathered(outlines: Geometry[]): void {
    this.#pane?.showGathered(outlines);
  }

  toggleMeasuring(): boolean {
    return this.#pane?.toggleMeasuring() ?? false;
  }

  stopMeasuring(): boolean {
    return this.#pane?.stopMeasuring() ?? false;
  }

  cancelDrawing(): boolean {
    return this.#pane?.cancelDrawing() ?? false;
  }

  press(key: string): boolean {
    return this.#pane?.press(key) ?? false;
  }

  resize(): void {
    this.#pane?.resize();
  }

  recolour(): void {
    void this.#pane?.recolour();
  }
}
