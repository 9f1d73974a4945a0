// Several tiles at once: a brush on the map gathers them, to be examples of a search, or marked right or wrong in one go.
import { callWithKey } from "./access";
import * as api from "./api";
import type { BrushActions } from "./brush";
import { button, h, isTouched } from "./dom";
import { formatPosition } from "./format";
import type { Mark } from "./grid";
import type { Handling } from "./handwork";
import { texts } from "./language";
import type { MapView } from "./mapview";
import { count } from "./numbers";
import { sayError } from "./said";
import { isAsked } from "./state";
import type { Status } from "./status";
import type { Position, Tile } from "./types";

/** What is gathered at once, and what the service takes of examples, of marks, and of a way. */
const [MOST_GATHERED, MOST_EXAMPLES, MOST_MARKS, LONGEST_WAY] = [300, 16, 1000, 2000];
const PAUSE_MS = 120;

export class Painting {
  readonly element: HTMLElement;
  #active = false;
  #gathered = new Map<string, Tile>();
  /** What was gathered before each stroke. */
  #before: Map<string, Tile>[] = [];
  /** The stroke that is drawn: its way, how much of it was asked about, and what it met. */
  #stroke = { way: [] as Position[], asked: 0, radiusM: 1, met: [] as Tile[], isFull: false };
  #asking: Promise<void> = Promise.resolve();
  readonly #told = h("p", { class: "painted-told", id: "painted" });
  readonly #like = button({ icon: "alike", label: texts.paint.like }, () => this.#likeThese());
  readonly #marks = (["right", "wrong"] as const).map((mark) =>
    button({ icon: mark === "right" ? "up" : "down", label: texts.detail[mark] }, () => this.#mark(mark)),
  );
  readonly #undo = button({ icon: "undo", label: texts.paint.undo, iconOnly: true }, () => this.undo());

  constructor(
    readonly act: Handling,
    readonly map: MapView,
    readonly status: Status,
    readonly changed: (on: boolean) => void,
  ) {
    const done = button({ icon: "close", label: texts.paint.end, iconOnly: true }, () => this.stop());
    const tools = h("div", { class: "row" }, this.#like, ...this.#marks, this.#undo, done);
    this.element = h(
      "div",
      { class: "painted", role: "group", "aria-label": texts.paint.label, hidden: true },
      this.#told,
      tools,
    );
  }

  get active(): boolean {
    return this.#active;
  }

  start(): void {
    if (!this.map.startBrush()) return;
    this.#active = true;
    this.element.hidden = false;
    this.changed(true);
    this.#clear();
    this.status.say(texts.paint.hint);
  }

  stop(): boolean {
    if (!this.#active) return false;
    this.#active = false;
    this.map.stopBrush();
    this.#clear();
    this.element.hidden = true;
    this.changed(false);
    return true;
  }

  /** Backspace takes the last stroke back. */
  press(key: string): boolean {
    return this.#active && key === "Backspace" && this.undo();
  }

  undo(): boolean {
    const before = this.#before.pop();
    if (!before) return false;
    this.#begin(); // what is still asked for belongs to no stroke any more
    this.#gathered = before;
    this.#show();
    this.status.say(this.#told.textContent ?? "");
    return true;
  }

  readonly brush: BrushActions = {
    begin: () => {
      this.#before.push(new Map(this.#gathered));
      this.#begin();
    },
    along: (at, radiusM) => {
      this.#stroke.way.push(at);
      this.#stroke.radiusM = radiusM;
      this.#asking = this.#asking.then(() => this.#gather());
    },
    end: (moved) => {
      const stroke = this.#stroke;
      if (moved === null) this.undo();
      else void this.#asking.then(() => stroke === this.#stroke && this.#finish(moved));
    },
  };

  #begin(): void {
    this.#stroke = { way: [], asked: 0, radiusM: 1, met: [], isFull: false };
  }

  #clear(): void {
    this.#gathered = new Map();
    this.#before = [];
    this.#begin();
    this.#show();
  }

  /** Asks what lies under as much of the stroke as is drawn by now. */
  async #gather(): Promise<void> {
    const stroke = this.#stroke;
    const way = stroke.way.slice(Math.max(0, stroke.asked - 1)).slice(0, LONGEST_WAY);
    if (stroke.asked >= stroke.way.length) return;
    const last = stroke.way.length;
    stroke.asked = Math.min(last, Math.max(0, stroke.asked - 1) + LONGEST_WAY);
    try {
      const met = await callWithKey(() => api.getTilesAlong(way, stroke.radiusM));
      if (stroke !== this.#stroke) return;
      if (met.is_cut) stroke.isFull = true;
      for (const tile of this.map.onTop(met.tiles)) {
        stroke.met.push(tile);
        if (this.#gathered.size < MOST_GATHERED) this.#gathered.set(tile.tile, tile);
        else stroke.isFull ||= !this.#gathered.has(tile.tile);
      }
      this.#show();
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    } catch (error) {
      if (stroke === this.#stroke) this.status.toast(sayError(error, texts.trouble.unanswered));
    }
  }

  /** A click takes a tile out again that was in already; a stroke that changes nothing is none. */
  #finish(moved: boolean): void {
    const [stroke, before] = [this.#stroke, this.#before.at(-1)];
    if (!before) return;
    const [first] = stroke.met;
    if (!moved && first && before.has(first.tile)) this.#gathered.delete(first.tile);
    const keys = (tiles: Map<string, Tile>): string => [...tiles.keys()].join("\n");
    if (keys(before) === keys(this.#gathered)) this.#before.pop();
    this.#show();
    if (stroke.isFull) this.status.toast(texts.paint.most(count(MOST_GATHERED)));
    else if (!first && stroke.way[0]) this.status.toast(texts.map.noTile(formatPosition(stroke.way[0])));
    else this.status.say(this.#told.textContent ?? "");
  }

  /** Takes up what is asked now. */
  update(): void {
    if (this.#active) this.#show();
  }

  /** The panel and the map say what is gathered, and what can be done with it. */
  #show(): void {
    const n = this.#gathered.size;
    const hint = isTouched() ? texts.paint.touched : texts.paint.hint;
    this.#told.textContent = n ? texts.paint.gathered(n) : hint;
    this.#like.disabled = !n;
    const asked = isAsked(this.act.question());
    for (const mark of this.#marks) {
      mark.disabled = !n || !asked;
      mark.title = asked ? "" : texts.paint.searchFirst;
    }
    this.#undo.disabled = !this.#before.length;
    this.element.dataset.n = String(n);
    this.map.showGathered([...this.#gathered.values()].flatMap((tile) => tile.geometry ?? []));
  }

  #likeThese(): void {
    const keys = [...this.#gathered.keys()];
    const n = Math.min(keys.length, MOST_EXAMPLES);
    const like = Array.from({ length: n }, (_, i) => keys[Math.floor((i * keys.length) / n)]!);
    this.stop();
    this.act.ask({ text: "", pictures: [], detector: "", like });
    if (n < keys.length) this.status.toast(texts.paint.examples(count(n), count(keys.length)));
  }

  #mark(mark: Mark): void {
    const { right, wrong } = this.act.question();
    const keys = [...this.#gathered.keys()];
    if (new Set([...right, ...wrong, ...keys]).size > MOST_MARKS) {
      this.status.toast(texts.paint.manyMarks(count(MOST_MARKS)));
      return;
    }
    this.#clear();
    this.act.mark(keys, mark);
  }
}
