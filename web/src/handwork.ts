// What is done by hand on the map: an area drawn, moved by its corners or brought along, a distance, tiles painted over, a look.
import { callWithKey } from "./access";
import * as api from "./api";
import type { Drawing, Drawn } from "./draw";
import { formatPosition } from "./format";
import type { Mark } from "./grid";
import { texts } from "./language";
import type { MapFrame } from "./layout";
import type { MapView } from "./mapview";
import { fixed } from "./numbers";
import { Painting } from "./painting";
import type { Said } from "./said";
import { join, quoteService, sayError } from "./said";
import type { Question } from "./state";
import { isAsked } from "./state";
import type { Status } from "./status";
import type { IndexInfo, Position } from "./types";

export interface Handling {
  question(): Question;
  info(): IndexInfo | null;
  ask(changes: Partial<Question>): void;
  /** Brings the map before one's eyes, where it is not. */
  showMap(): Promise<void>;
  open(tile: string): Promise<void>;
  /** Marks tiles right or wrong, in one go. */
  mark(tiles: string[], mark: Mark): void;
  /** Something stands in the way; null: no longer. */
  trouble(text: Said | null): void;
}

export class Handwork {
  readonly painting: Painting;

  constructor(
    readonly act: Handling,
    readonly map: MapView,
    readonly frame: MapFrame,
    readonly status: Status,
  ) {
    this.painting = new Painting(act, map, status, (on) => frame.showPainting(on));
    frame.element.append(this.painting.element);
  }

  /** Starts or stops to gather tiles by a brush. */
  async paint(): Promise<void> {
    if (this.painting.stop()) return;
    this.stopEditing();
    this.frame.showDrawing(null);
    await this.act.showMap();
    this.painting.start();
  }

  /** A key on the map; whether it meant something. */
  press(key: string): boolean {
    return this.painting.press(key) || this.map.press(key);
  }

  /** Stops whatever is being done by hand; whether anything was. */
  stop(): boolean {
    return this.map.cancelDrawing() || this.stopEditing() || this.painting.stop() || this.map.stopMeasuring();
  }

  async draw(kind: Drawing): Promise<void> {
    this.painting.stop();
    this.stopEditing();
    await this.act.showMap();
    if (!this.map.toggleDrawing(kind)) return;
    this.frame.showDrawing(kind);
    this.status.say(texts.map.drawing);
  }

  /** What was drawn; null where it was given up. */
  drawn(drawn: Drawn | null): void {
    this.frame.showDrawing(null);
    if (this.map.editing) this.frame.showEditing(true);
    if (!drawn) this.map.setArea(this.act.question());
    else this.act.ask({ bbox: null, area: null, ...drawn });
  }

  /** Searches in what the map shows. */
  async useView(): Promise<void> {
    await this.act.showMap();
    const bbox = this.map.bounds();
    if (bbox) this.act.ask({ bbox, area: null });
  }

  moveCorners(): void {
    this.painting.stop();
    const on = this.map.toggleCorners(this.act.question());
    if (on) void this.act.showMap();
    this.frame.showEditing(on);
    this.status.say(on ? texts.map.movingCorners : texts.map.cornersStay);
  }

  stopEditing(): boolean {
    if (!this.map.stopEditing()) return false;
    this.frame.showEditing(false);
    return true;
  }

  measure(): void {
    this.painting.stop();
    this.stopEditing();
    this.frame.showDrawing(null);
    if (this.map.toggleMeasuring()) void this.act.showMap();
  }

  /** Takes an area to search in, as a file or as text. */
  async bringArea(content: File | string | undefined): Promise<void> {
    if (content === undefined) return;
    const name = typeof content === "string" ? texts.map.pastedArea : content.name;
    this.status.say(texts.map.readingArea);
    try {
      const most = this.act.info()?.limits.max_area_bytes;
      if (most && typeof content !== "string" && content.size > most) {
        throw new Error(texts.map.tooLarge(fixed(content.size / 1e6, 1), fixed(most / 1e6, 1)));
      }
      const given = await callWithKey(() => api.sendArea(content));
      this.map.fit(given.bbox);
      this.act.ask({ bbox: null, area: given.geometry });
      this.act.trouble(null);
      const what = texts.map.given(given.n_outlines, given.n_corners);
      const note = given.note ? [" (", quoteService(given.note), ")"] : [];
      const next = isAsked(this.act.question()) ? "" : texts.space + texts.map.sayWhat;
      this.status.toast(join(texts.named(name), what, ...note, ".", next));
    } catch (error) {
      this.act.trouble(join(texts.named(name), sayError(error, texts.map.unread)));
    }
  }

  /** What is there: the tile under a click on the ground, of the scene that is on top. */
  async lookAt(at: Position): Promise<void> {
    try {
      const tiles = await callWithKey(() => api.getTilesAt(at));
      const tile = this.map.onTop(tiles)[0] ?? tiles[0];
      if (tile) await this.act.open(tile.tile);
      else this.status.toast(texts.map.noTile(formatPosition(at)));
    } catch (error) {
      this.status.toast(sayError(error, texts.trouble.unanswered));
    }
  }
}
