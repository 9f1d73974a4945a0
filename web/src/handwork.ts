// What is done by hand on the map: an area drawn, moved by its corners or brought along, a distance, a look at the ground.
import { callWithKey } from "./access";
import * as api from "./api";
import type { Drawing, Drawn } from "./draw";
import { formatNumber, formatPosition } from "./format";
import type { MapFrame } from "./layout";
import type { MapView } from "./mapview";
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
  /** Something stands in the way; null: no longer. */
  trouble(text: string | null): void;
}

export class Handwork {
  constructor(
    readonly act: Handling,
    readonly map: MapView,
    readonly frame: MapFrame,
    readonly status: Status,
  ) {}

  async draw(kind: Drawing): Promise<void> {
    this.stopEditing();
    await this.act.showMap();
    if (!this.map.toggleDrawing(kind)) return;
    this.frame.showDrawing(kind);
    this.status.say("Drawing on the map");
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
    const on = this.map.toggleCorners(this.act.question());
    if (on) void this.act.showMap();
    this.frame.showEditing(on);
    this.status.say(on ? "Move the corners of the area" : "The corners stay where they are");
  }

  stopEditing(): boolean {
    if (!this.map.stopEditing()) return false;
    this.frame.showEditing(false);
    return true;
  }

  measure(): void {
    this.stopEditing();
    this.frame.showDrawing(null);
    if (this.map.toggleMeasuring()) void this.act.showMap();
  }

  /** Takes an area to search in, as a file or as text. */
  async bringArea(content: File | string | undefined): Promise<void> {
    if (content === undefined) return;
    const name = typeof content === "string" ? "The pasted area" : content.name;
    this.status.say("Reading the area");
    try {
      const most = this.act.info()?.limits.max_area_bytes;
      if (most && typeof content !== "string" && content.size > most) {
        throw new Error(`it has ${(content.size / 1e6).toFixed(1)} MB; the service takes up to ${(most / 1e6).toFixed(1)} MB.`);
      }
      const given = await callWithKey(() => api.sendArea(content));
      this.map.fit(given.bbox);
      this.act.ask({ bbox: null, area: given.geometry });
      this.act.trouble(null);
      const outlines = formatNumber(given.n_outlines, "outline");
      const note = given.note && ` (${given.note})`;
      const next = isAsked(this.act.question()) ? "" : " Say what to look for in it.";
      this.status.toast(`${name}: ${outlines}, ${formatNumber(given.n_corners, "corner")}${note}.${next}`);
    } catch (error) {
      this.act.trouble(`${name}: ${error instanceof Error ? error.message : "it cannot be read."}`);
    }
  }

  /** What is there: the tile under a click on the ground, of the scene that is on top. */
  async lookAt(at: Position): Promise<void> {
    try {
      const tiles = await callWithKey(() => api.getTilesAt(at));
      const tile = tiles.find((own) => own.scene_id === this.map.top) ?? tiles[0];
      if (tile) await this.act.open(tile.tile);
      else this.status.toast(`No tile of this index lies at ${formatPosition(at)}.`);
    } catch (error) {
      this.status.toast(error instanceof Error ? error.message : "The service did not answer.");
    }
  }
}
