// The card whose details are open: its tile in the list and on the map, its ground through the days, and why it was found.
import * as api from "./api";
import type { Card } from "./card";
import { fromTile, inScene } from "./card";
import type { Detail, DetailState } from "./detail";
import { isNarrow } from "./dom";
import type { Grid } from "./grid";
import { texts } from "./language";
import type { MapView } from "./mapview";
import { markOf } from "./marks";
import type { Reviewing } from "./review";
import type { Comparison, Question, View } from "./state";
import { NO_DAY } from "./state";
import type { Status } from "./status";
import type { Sight } from "./types";

/** How long a day is shown while the days are played. */
const DAY_SHOWN_MS = 1200;

export interface Surroundings {
  /** What is asked, and what is shown, now. */
  question(): Question;
  view(): View;
  cards(): Card[];
  remember(how: "push" | "replace"): void;
}

interface Parts {
  grid: Grid;
  map: MapView;
  detail: Detail;
  review: Reviewing;
  status: Status;
}

export class Opened {
  #card: Card | null = null;
  #sights: Sight[] = [];
  #playing = 0;

  constructor(
    readonly around: Surroundings,
    readonly parts: Parts,
  ) {}

  /** Opens a card, of the results or of a tile that a link names; `keep` leaves the history and the map as they are. */
  async select(key: string, options: { focus: boolean; keep?: boolean }): Promise<void> {
    const { grid, map, detail, review } = this.parts;
    const card = this.around.cards().find((own) => own.key === key) ?? (await api.getTile(key).then(fromTile, () => null));
    const view = this.around.view();
    if (!card) {
      view.selected = "";
      return;
    }
    // Opening details is a step that Back takes back; going from one to the next is none.
    const opens = !view.selected && !options.keep;
    const isNew = this.#card?.key !== key;
    if (isNew) this.play(false);
    if (isNew && !options.keep) Object.assign(view, NO_DAY);
    view.selected = key;
    this.#card = card;
    if (isNew) this.#sights = [];
    this.around.remember(opens ? "push" : "replace");
    grid.select(key);
    detail.show(card, this.#state(card));
    review.follow(key);
    map.select(key);
    if (!options.keep) map.reveal(card, { closer: false });
    if (isNew) void this.#loadDays(card);
    this.lay();
    if (options.focus || (isNarrow() && !options.keep)) detail.focus();
  }

  /** Forgets the card, as when something else is asked; the address is somebody else's then. */
  forget(): void {
    this.play(false);
    this.#card = null;
    this.parts.review.stop();
  }

  /** Hides the details. */
  hide(): void {
    this.play(false);
    this.parts.detail.hide();
    this.#card = null;
    this.lay();
  }

  /** Closes the details; whether any were open. */
  close(): boolean {
    const { grid, map } = this.parts;
    const view = this.around.view();
    const key = view.selected;
    if (!key) return false;
    Object.assign(view, { selected: "", review: false, ...NO_DAY });
    this.parts.review.stop();
    grid.select("");
    map.select("");
    this.hide();
    this.around.remember("replace");
    grid.focus(key);
    return true;
  }

  /** To the next of the results, or the one before. */
  step(by: number): void {
    const [cards, { selected }] = [this.around.cards(), this.around.view()];
    const at = cards.findIndex((card) => card.key === selected);
    const next = cards[(at + by + cards.length) % cards.length];
    if (next) void this.select(next.key, { focus: false });
  }

  /** The details say what is so now. */
  update(): void {
    if (this.#card) this.parts.detail.update(this.#state(this.#card));
  }

  setWhy(on: boolean): void {
    this.around.view().why = on;
    this.around.remember("replace");
    this.update();
    if (!this.#card && on) this.parts.status.toast(texts.detail.openFirst);
    this.lay();
  }

  /** Lays the tile over its scene on the map, or takes it away where nothing is open. */
  lay(): void {
    const view = this.around.view();
    const card = view.selected ? this.#card : null;
    const sight = this.#sights.find((own) => own.scene_id === view.day);
    this.parts.map.lay(card && sight ? inScene(card, sight) : card, view.why ? this.around.question().text : "");
    this.parts.map.compare(card, view);
  }

  /** Shows the ground in another scene, or against another. */
  showDay(changes: Partial<Pick<View, "day" | keyof Comparison>>, { how = "push" }: { how?: "push" | "replace" } = {}): void {
    const view = this.around.view();
    const before = view.day;
    if ("day" in changes && how === "push") this.play(false); // somebody has chosen a day
    Object.assign(view, changes);
    if (view.against && view.against === view.day) view.against = "";
    this.around.remember(view.day === before ? "replace" : how);
    if (!this.#card) return;
    this.update();
    if ("day" in changes || "against" in changes) this.parts.map.revealSmall(this.#card);
    if (view.day === before) this.parts.map.compare(this.#card, view);
    else this.lay();
  }

  /** To the day before or after the one that is shown. */
  stepDay(by: number): void {
    const shown = this.around.view().day || this.#card?.sceneId;
    const at = this.#sights.findIndex((sight) => sight.scene_id === shown);
    const next = this.#sights[at + by];
    if (at >= 0 && next) this.showDay({ day: next.scene_id });
  }

  /** Shows one day after the other, from the last on the first again, until something else is done. */
  play(on: boolean): void {
    if (on === this.#playing > 0) return;
    clearInterval(this.#playing);
    this.#playing = on ? window.setInterval(() => this.#playOn(), DAY_SHOWN_MS) : 0;
    if (on) this.#playOn();
    else this.update();
  }

  #playOn(): void {
    const shown = this.around.view().day || this.#card?.sceneId;
    const at = this.#sights.findIndex((sight) => sight.scene_id === shown);
    const next = this.#sights[(at + 1) % this.#sights.length];
    if (next) this.showDay({ day: next.scene_id }, { how: "replace" });
    else this.play(false);
  }

  /** The ground through the days; told when it is known, if the card is still open. */
  async #loadDays(card: Card): Promise<void> {
    const sights = card.bbox ? await api.getDays(card.key).catch(() => []) : [];
    if (this.#card?.key !== card.key) return;
    this.#sights = sights;
    this.update();
    this.lay();
  }

  #state(card: Card): DetailState {
    const [cards, question, view] = [this.around.cards(), this.around.question(), this.around.view()];
    const at = cards.indexOf(card);
    return {
      why: view.why,
      words: question.text,
      mark: markOf(question, card.key),
      position: at < 0 ? "" : texts.detail.of(cards.length),
      sights: this.#sights,
      day: view.day,
      playing: this.#playing > 0,
      comparison: { against: view.against, split: view.split, fade: view.fade },
    };
  }
}
