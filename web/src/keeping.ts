// The way to detectors and saved searches: what they need from the start. Their panel's code comes when it is first used.
import { callWithKey } from "./access";
import * as api from "./api";
import { askForName } from "./dialogs";
import { button, h } from "./dom";
import type { Panel } from "./kept";
import { texts } from "./language";
import { sayError } from "./said";
import type { Question, View } from "./state";
import { toBody } from "./state";
import type { Status } from "./status";
import type { Detector, IndexInfo, SearchResult } from "./types";

export interface Keeper {
  question(): Question;
  view(): View;
  info(): IndexInfo | null;
  status: Status;
  remember(how: "push" | "replace"): void;
  /** Asks a question in place of the one that is asked; or shows some of what something finds. */
  take(question: Question, view: Partial<Pick<View, "finds" | "saveAs">>): void;
  /** Brings the list before one's eyes, where it is not. */
  showList(): void;
  /** The detectors are these now. */
  offer(detectors: Detector[]): void;
}

export class Keeping {
  readonly element = h("section", { class: "kept", id: "kept", "aria-label": texts.kept.label, hidden: true });
  /** Says of what the results are the finds. */
  readonly bar = h("div", { class: "finds-bar", hidden: true });
  readonly opener: HTMLButtonElement;
  #panel: Promise<Panel> | null = null;
  #asked = "";

  constructor(readonly host: Keeper) {
    this.opener = button({ icon: "bookmark", label: texts.kept.label, iconOnly: true }, () => this.toggle());
    this.opener.id = "open-kept";
    this.opener.setAttribute("aria-controls", "kept");
    this.opener.setAttribute("aria-expanded", "false");
  }

  toggle(): void {
    if (this.close()) return;
    this.host.view().kept = "1";
    this.host.remember("push");
    this.host.showList();
    void this.update().then(() => this.element.querySelector("h2")?.focus());
  }

  /** Closes the panel; whether it was open. */
  close(): boolean {
    const view = this.host.view();
    if (!view.kept) return false;
    view.kept = "";
    this.host.remember("replace");
    void this.update();
    this.opener.focus();
    return true;
  }

  /** Shows or hides the panel, as the view says. */
  async update(): Promise<void> {
    const on = Boolean(this.host.view().kept);
    this.element.hidden = !on;
    this.opener.setAttribute("aria-expanded", String(on));
    if (on) await this.#use((panel) => panel.show());
  }

  /** What is found by what the view names, as the answer to a search. */
  async find(signal: AbortSignal): Promise<SearchResult> {
    const { finds } = this.host.view();
    const panel = await this.#load();
    this.#asked = panel.says(finds);
    return panel.find(finds, signal);
  }

  /** Whose finds were found last, in words. */
  get asked(): string {
    return this.#asked;
  }

  /** Says above the results whose finds they are, where they are any. */
  tell(): void {
    this.bar.hidden = !this.host.view().finds;
    if (!this.bar.hidden) void this.#use(async (panel) => panel.tell());
  }

  saveSearch(): void {
    void this.#use((panel) => panel.saveSearch());
  }

  /** Brings a detector's search and marks back, changed: who marks what it finds goes on with it. */
  async changeDetector(name: string, change: (question: Question) => Question): Promise<void> {
    await this.#use((panel) => panel.changeDetector(name, change));
  }

  /** Keeps what was learned from marks, by a name; what it finds has been looked at then. */
  async saveDetector(): Promise<void> {
    const [question, view] = [this.host.question(), this.host.view()];
    const name = await askForName(question.right.length, question.wrong.length, view.saveAs);
    if (!name) return;
    try {
      await callWithKey(() => api.saveDetector(name, toBody(question), name === view.saveAs));
      await this.offer();
    } catch (error) {
      this.host.status.toast(sayError(error, texts.detector.unsaved));
      return;
    }
    view.saveAs = name;
    this.host.remember("replace");
    await this.#use((panel) => panel.saved(`detectors:${name}`));
    this.host.status.toast(texts.detector.saved(name));
  }

  /** Tells the filters which detectors there are. */
  async offer(): Promise<void> {
    this.host.offer(await callWithKey(() => api.getDetectors()));
  }

  #load(): Promise<Panel> {
    this.#panel ??= import("./kept").then(({ Panel }) => new Panel(this));
    this.#panel.catch(() => {
      this.#panel = null;
    });
    return this.#panel;
  }

  async #use(act: (panel: Panel) => Promise<void>): Promise<void> {
    try {
      await act(await this.#load());
    } catch (error) {
      this.host.status.toast(sayError(error, texts.trouble.unanswered));
    }
  }
}
