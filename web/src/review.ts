// Reviewing results one after the other: yes, no or unsure, with a note; the service keeps it, and the confirmed are saved.
import { callWithKey } from "./access";
import * as api from "./api";
import type { Card } from "./card";
import { button, h } from "./dom";
import { saveFile } from "./export";
import { texts } from "./language";
import type { Said } from "./said";
import { sayError } from "./said";
import type { Review, SearchResult, Verdict } from "./types";

const NAME = "rsitr-reviewer";
const FORMS = { geojson: "GeoJSON", csv: "CSV", gpkg: "GeoPackage", kml: "KML" } as const;

interface Host {
  cards: () => Card[];
  result: () => SearchResult | null;
  open: (key: string) => void;
  /** Shows on the results what was said of them. */
  show: (verdicts: Map<string, Verdict>) => void;
  say: (text: string) => void;
  fail: (text: Said) => void;
  end: () => void;
}

export class Reviewing {
  readonly element: HTMLElement;
  readonly #reviews = new Map<string, Review>();
  #query = "";
  #tile = "";
  #isOn = false;
  readonly #progress = h("progress", { max: 1, value: 0, "aria-label": texts.review.progress });
  readonly #told = h("p", { class: "note", id: "review-told" });
  readonly #note = h("input", {
    type: "text",
    id: "review-note",
    maxlength: 2000,
    placeholder: texts.review.note,
    "aria-label": texts.review.noteLabel,
    autocomplete: "off",
    onkeydown: (event: KeyboardEvent) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      void this.#keepNote();
    },
  });
  readonly #name = h("input", {
    type: "text",
    id: "reviewer",
    maxlength: 80,
    placeholder: texts.review.name,
    "aria-label": texts.review.nameLabel,
    autocomplete: "name",
    onchange: () => localStorage.setItem(NAME, this.#name.value.trim()),
  });
  readonly #verdicts: Record<Verdict, HTMLButtonElement>;
  readonly #files: HTMLElement;

  constructor(readonly host: Host) {
    this.#name.value = localStorage.getItem(NAME) ?? "";
    const choice = (verdict: Verdict, key: string): HTMLButtonElement => {
      const element = button({ label: texts.review.verdicts[verdict], title: texts.review.key(key) }, () => void this.decide(verdict));
      element.append(h("kbd", { "aria-hidden": "true" }, key));
      element.setAttribute("aria-keyshortcuts", key);
      element.classList.add("choice", verdict);
      return element;
    };
    this.#verdicts = { yes: choice("yes", "y"), no: choice("no", "n"), unsure: choice("unsure", "u") };
    const save = (form: keyof typeof FORMS): HTMLButtonElement =>
      h(
        "button",
        {
          type: "button",
          class: "button",
          "aria-label": texts.review.save(FORMS[form]),
          onclick: () => void this.#save(form),
        },
        FORMS[form],
      );
    this.#files = h("div", { class: "row" }, h("span", { class: "field-label" }, texts.review.confirmed), ...(Object.keys(FORMS) as (keyof typeof FORMS)[]).map(save));
    this.element = h(
      "section",
      { class: "review", "aria-label": texts.review.label, hidden: true },
      h("div", { class: "row" }, this.#progress, this.#told),
      h("div", { class: "row choices" }, this.#verdicts.yes, this.#verdicts.no, this.#verdicts.unsure),
      h("div", { class: "row" }, this.#note, this.#name),
      this.#files,
      button({ label: texts.review.end, className: "quiet" }, () => this.host.end()),
    );
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** Begins with the first result of which nothing is said, or goes on with the one that is open. */
  async start(open: string): Promise<void> {
    this.#isOn = true;
    this.element.hidden = false;
    await this.load();
    this.#draw();
    const cards = this.host.cards();
    const first = cards.find((card) => !this.#reviews.has(card.key)) ?? cards[0];
    if (!open && first) this.host.open(first.key);
  }

  stop(): void {
    this.#isOn = false;
    this.element.hidden = true;
  }

  /** Takes what was said of the results of this search. */
  async load(): Promise<void> {
    const query = this.host.result()?.query.described ?? "";
    const found = await callWithKey(() => api.getReviews(query)).catch(() => [] as Review[]);
    if (query !== (this.host.result()?.query.described ?? "")) return;
    this.#query = query;
    this.#reviews.clear();
    for (const review of found) this.#reviews.set(review.tile, review);
    this.#draw();
  }

  /** The result that is open now. */
  follow(tile: string): void {
    this.#tile = tile;
    this.#note.value = this.#reviews.get(tile)?.note ?? "";
    this.#draw();
  }

  toNote(): void {
    this.#note.focus();
  }

  /** Keeps a verdict and goes on to the next result without one; the same verdict again takes it back. */
  async decide(verdict: Verdict): Promise<void> {
    const tile = this.#tile;
    const before = this.#reviews.get(tile);
    const note = this.#note.value.trim();
    try {
      if (before?.verdict === verdict && before.note === note) {
        await callWithKey(() => api.removeReview(this.#query, tile));
        this.#reviews.delete(tile);
        this.host.say(texts.review.takenBack);
        this.#draw();
        return;
      }
      await this.#keep(tile, verdict, note);
    } catch (error) {
      this.host.fail(sayError(error, texts.review.unkept));
      return;
    }
    this.#draw();
    const next = this.#next(tile);
    this.host.say(`${texts.review.verdicts[verdict]}; ${next ? texts.review.next : texts.review.done}`);
    if (next) this.host.open(next.key);
  }

  async #keep(tile: string, verdict: Verdict, note: string): Promise<void> {
    const { relevance } = this.host.cards().find((card) => card.key === tile) ?? { relevance: null };
    const body = { query: this.#query, tile, verdict, note, who: this.#name.value.trim(), relevance };
    this.#reviews.set(tile, await callWithKey(() => api.saveReview(body)));
  }

  async #keepNote(): Promise<void> {
    const said = this.#reviews.get(this.#tile);
    if (said) {
      await this.#keep(this.#tile, said.verdict, this.#note.value.trim()).catch((error: unknown) => this.host.fail(sayError(error, texts.review.unkept)));
    }
    this.#note.blur(); // its letters are verdicts again
    this.host.say(said ? texts.review.noteKept : texts.review.noteWaits);
  }

  #next(tile: string): Card | undefined {
    const cards = this.host.cards();
    const at = cards.findIndex((card) => card.key === tile);
    return [...cards.slice(at + 1), ...cards.slice(0, at + 1)].find((card) => !this.#reviews.has(card.key));
  }

  #draw(): void {
    const cards = this.host.cards();
    const said = cards.flatMap((card) => this.#reviews.get(card.key) ?? []);
    const count = (verdict: Verdict): number => said.filter((review) => review.verdict === verdict).length;
    this.#progress.max = Math.max(1, cards.length);
    this.#progress.value = said.length;
    this.#told.textContent = texts.review.told(said.length, cards.length, count("yes"), count("no"), count("unsure"));
    for (const [verdict, element] of Object.entries(this.#verdicts)) {
      element.setAttribute("aria-pressed", String(this.#reviews.get(this.#tile)?.verdict === verdict));
    }
    this.#files.hidden = ![...this.#reviews.values()].some((review) => review.verdict === "yes");
    this.host.show(new Map([...this.#reviews].map(([tile, review]) => [tile, review.verdict])));
  }

  async #save(form: keyof typeof FORMS): Promise<void> {
    try {
      const file = await callWithKey(() => api.exportReviews(form, this.#query));
      saveFile(`confirmed.${form}`, file.type, file);
    } catch (error) {
      this.host.fail(sayError(error, texts.review.unsaved));
    }
  }
}
