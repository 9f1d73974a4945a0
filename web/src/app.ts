// The page as a whole: what is asked, what was found, and who is told about it.
import { callWithKey } from "./access";
import * as api from "./api";
import type { Card } from "./card";
import { fromTile, inScene, listCards } from "./card";
import { askForName, showHelp } from "./dialogs";
import type { Detail, DetailState } from "./detail";
import { createDetail } from "./detail";
import { h, isNarrow } from "./dom";
import type { Drawing, Drawn } from "./draw";
import type { Filters } from "./filters";
import { createFilters } from "./filters";
import { formatCount, formatNumber, formatPosition, formatRelevance } from "./format";
import type { Grid, Mark } from "./grid";
import { createGrid } from "./grid";
import { listenToKeys } from "./keyboard";
import type { Layers } from "./layers";
import { createLayers } from "./layers";
import type { MapFrame } from "./layout";
import { createBar, createMapFrame, createSwitch } from "./layout";
import { MapView } from "./mapview";
import { lastMarked, markOf, toggleMark } from "./marks";
import { acceptAll, isPicture } from "./incoming";
import { Pictures } from "./pictures";
import type { QueryBar } from "./query";
import { createQueryBar } from "./query";
import { atLeast } from "./relevance";
import type { Results } from "./results";
import { Reviewing } from "./review";
import { createResults, explainMisses, summarise } from "./results";
import { copyAndSay, copyLink, saveCards } from "./sharing";
import type { Comparison, Question, View } from "./state";
import { asksTheSame, decode, encode, isAsked, NO_DAY, PAGE_SIZE, toBody } from "./state";
import { waitUntilReady } from "./startup";
import { createStatus } from "./status";
import { createThemeSwitch } from "./theme";
import { showError } from "./trouble";
import type { IndexInfo, Position, Scene, SearchResult, Sight } from "./types";

const MARK_DELAY_MS = 250;

export class App {
  #question: Question;
  #view: View;
  #result: SearchResult | null = null;
  /** All that was found, and what is shown of it. */
  #found: Card[] = [];
  #cards: Card[] = [];
  #info: IndexInfo | null = null;
  #scenes: Scene[] = [];
  #version = "";
  #isStarted = false;
  #mapped: Promise<void> | null = null;
  /** The card whose details are open, and its ground through the days. */
  #open: Card | null = null;
  #sights: Sight[] = [];
  #abort: AbortController | null = null;
  #markTimer = 0;
  #marked: string[] = [];

  readonly #map = new MapView();
  readonly #pictures = new Pictures();
  readonly #status = createStatus();
  readonly #query: QueryBar;
  readonly #filters: Filters;
  readonly #grid: Grid;
  readonly #results: Results;
  readonly #detail: Detail;
  readonly #frame: MapFrame;
  readonly #layers: Layers;
  readonly #review: Reviewing;
  readonly #bar: ReturnType<typeof createBar>;
  readonly #switch: ReturnType<typeof createSwitch>;

  constructor(readonly root: HTMLElement) {
    ({ question: this.#question, view: this.#view } = decode(location.hash));
    this.#query = createQueryBar({
      submit: (text) => this.#ask({ text }),
      cut: (most) => this.#status.toast(`A search has at most ${formatCount(most)} characters; the rest was cut off.`),
      choose: (files) => void this.#bring([...files]),
      dropPicture: (picture) => this.#ask({ pictures: this.#question.pictures.filter((own) => own !== picture) }),
      dropLike: (tile) => this.#ask({ like: this.#question.like.filter((own) => own !== tile) }),
      thumbnail: (picture) => this.#pictures.thumbnail(picture),
    });
    this.#filters = createFilters({
      change: (filters) => this.#ask(filters),
      draw: (kind) => void this.#startDrawing(kind),
      useView: () => void this.#useView(),
      bringArea: (files) => void this.#bringArea(files[0]),
    });
    this.#grid = createGrid({
      hover: (key) => this.#hover(key, "grid"),
      select: (key) => void this.#select(key, { focus: true }),
      browse: (key) => this.#view.selected && void this.#select(key, { focus: false }),
      mark: (key, mark) => this.#mark(key, mark),
    });
    this.#results = createResults(this.#grid, {
      suggest: (text) => this.#ask({ text }),
      begin: (tile) => this.#ask({ like: [tile] }),
      locateScene: (scene) => void this.#showPane("map").then(() => this.#map.showScene(scene)),
      group: (places) => this.#ask({ places }),
      more: () => this.#ask({ k: Math.min(this.#question.k + PAGE_SIZE, this.#info?.limits.max_k ?? PAGE_SIZE) }),
      least: (percent) => void this.#showFrom(percent),
      review: () => this.#setReview(true),
      save: (format) => this.#result && saveCards(format, this.#cards, this.#result, this.#status),
      copyLink: () => this.#copyLink(),
      undoMark: () => this.#undoMark(),
      clearMarks: () => this.#ask({ right: [], wrong: [] }),
      saveDetector: () => void this.#saveDetector(),
    });
    this.#review = new Reviewing({
      cards: () => this.#cards,
      result: () => this.#result,
      open: (key) => void this.#select(key, { focus: false }),
      show: (verdicts) => this.#grid.review(verdicts),
      say: (text) => this.#status.say(text),
      fail: (text) => this.#status.toast(text),
      end: () => this.#setReview(false),
    });
    this.#detail = createDetail(this.#review.element, {
      close: () => this.#close(),
      mark: (key, mark) => this.#mark(key, mark),
      alike: (key) => this.#ask({ text: "", pictures: [], detector: "", like: [key] }),
      why: (on) => this.#setWhy(on),
      locate: (card) => void this.#showPane("map").then(() => this.#map.reveal(card, { closer: true })),
      copyLink: () => this.#copyLink(),
      copyPosition: (text) => void copyAndSay(text, `Coordinates copied: ${text}`, this.#status),
      step: (by) => this.#step(by),
      day: (scene) => this.#showDay({ day: scene }),
      compare: (comparison) => this.#showDay(comparison),
    });
    this.#layers = createLayers({
      change: (drawn) => this.#setLayers(drawn),
      locate: (scene) => this.#map.showScene(scene),
    });
    this.#frame = createMapFrame(this.#layers.element, {
      draw: (kind) => void this.#startDrawing(kind),
      useView: () => void this.#useView(),
      clearArea: () => this.#ask({ bbox: null, area: null }),
      corners: () => this.#moveCorners(),
      measure: () => this.#measure(),
      fit: () => this.#map.fitAll({ animate: true }),
    });
    const theme = createThemeSwitch(() => this.#map.recolour());
    this.#bar = createBar(this.#query.element, theme, {
      help: () => this.#help(),
      filters: () => {
        const open = this.root.classList.toggle("filters-open");
        this.#bar.filters.setAttribute("aria-expanded", String(open));
      },
    });
    this.#switch = createSwitch((pane) => void this.#showPane(pane));
    this.#build();
    this.#listen();
  }

  #build(): void {
    const skip = h(
      "button",
      { type: "button", class: "skip", onclick: () => this.#grid.focus() || this.#query.input.focus() },
      "To the results",
    );
    this.root.append(
      skip,
      this.#bar.element,
      this.#filters.element,
      h(
        "main",
        { class: "panes" },
        h("h1", { class: "visually-hidden" }, "Search imagery"),
        this.#results.element,
        this.#frame.element,
        this.#detail.element,
      ),
      this.#switch.element,
      acceptAll({
        files: (files) => void (files.some(isPicture) ? this.#bring(files) : this.#bringArea(files[0])),
        area: (text) => void this.#bringArea(text),
      }),
      this.#status.element,
    );
    void this.#showPane("list");
  }

  #listen(): void {
    window.addEventListener("popstate", () => this.#load());
    const chosen = (act: (key: string) => unknown) => (): void => {
      const key = this.#grid.focusedKey() ?? this.#view.selected;
      if (key) act(key);
    };
    listenToKeys({
      escape: () => this.#map.cancelDrawing() || this.#stopEditing() || this.#map.stopMeasuring() || this.#layers.close() || this.#filters.closeArea() || this.#close(),
      drawing: (key) => this.#map.press(key),
      toQuery: () => this.#query.input.select(),
      toResults: () => this.#grid.focus(),
      help: () => this.#help(),
      letters: {
        y: chosen((key) => (this.#review.isOn ? this.#review.decide("yes") : this.#mark(key, "right"))),
        n: chosen((key) => (this.#review.isOn ? this.#review.decide("no") : this.#mark(key, "wrong"))),
        u: () => this.#review.isOn && void this.#review.decide("unsure"),
        e: () => this.#review.isOn && this.#review.toNote(),
        l: chosen((key) => this.#ask({ text: "", pictures: [], detector: "", like: [key] })),
        ",": () => this.#stepDay(-1),
        ".": () => this.#stepDay(1),
        w: () => this.#setWhy(!this.#view.why),
        m: () => void this.#showPane(this.root.dataset.pane === "map" ? "list" : "map"),
      },
    });
  }

  /** Shows what the address says, then the map, which is the larger part of the page's code. */
  async start(): Promise<void> {
    this.#update();
    if (isAsked(this.#question)) this.#results.showBusy(true);
    else this.#query.input.focus({ preventScroll: true });
    this.#version = await waitUntilReady((trouble) => this.#results.showTrouble(trouble));
    void this.#search({ first: true });
    if (!isNarrow()) this.#map.prefetch();
    await this.#loadIndex();
    this.#isStarted = true;
    if (!isNarrow() || this.root.dataset.pane === "map") await this.#loadMap();
  }

  async #loadIndex(): Promise<void> {
    try {
      const [info, scenes, detectors] = await callWithKey(() =>
        Promise.all([api.getIndex(), api.getScenes(), api.getDetectors()]),
      );
      this.#info = info;
      this.#scenes = scenes;
      this.#bar.name.textContent = info.name;
      this.#filters.offer(info, detectors);
      if (!isAsked(this.#question)) this.#results.showStart(info, scenes);
      else if (this.#result) this.#results.showResult(this.#result, this.#shown(), this.#question, info);
      await this.#showScenes();
    } catch (error) {
      this.#fail(error, () => void this.#loadIndex(), 0);
    }
  }

  /** Once; on a phone, where the list comes first, when the map is first looked at. */
  #loadMap(): Promise<void> {
    this.#mapped ??= this.#startMap();
    return this.#mapped;
  }

  async #startMap(): Promise<void> {
    const actions = {
      hover: (key: string) => this.#hover(key, "map"),
      select: (key: string) => void this.#select(key, { focus: false }),
      moved: (centre: Position, zoom: number) => {
        Object.assign(this.#view, { centre, zoom });
        this.#remember("replace");
      },
      drawn: (drawn: Drawn | null) => this.#drawn(drawn),
      refused: (reason: string) => this.#status.toast(reason),
      cursor: (at: Position) => this.#frame.showCursor(at),
      measured: (text: string | null) => this.#frame.showMeasured(text),
      split: (percent: number) => {
        this.#showDay({ split: percent });
        const slider = document.getElementById("split") as HTMLInputElement | null;
        if (slider) slider.value = String(percent);
      },
      ground: (at: Position) => void this.#lookAt(at),
    };
    try {
      await this.#map.load(this.#frame.canvas, actions, this.#view, this.#info);
    } catch {
      this.#frame.showFailure("The map needs WebGL 2, which this browser does not offer. Searching works without it.");
      return;
    }
    await this.#showScenes();
    await this.#showOnMap({ still: true });
  }

  /** Asks something new, or the same with other filters; every such step can be taken back with the browser. */
  #ask(changes: Partial<Question>): void {
    const before = this.#question;
    this.#question = { ...before, ...changes };
    const same = asksTheSame(before, this.#question);
    if (!same) {
      Object.assign(this.#question, { right: [], wrong: [], k: PAGE_SIZE });
      Object.assign(this.#view, { selected: "", least: 0, review: false, ...NO_DAY });
      this.#open = null;
      this.#review.stop();
    }
    clearTimeout(this.#markTimer);
    // Before anything that moves the map, which notes its view in the entry of the history that is the last one then.
    this.#remember("push");
    if (!same) {
      this.#detail.hide();
      this.#map.select("");
    }
    this.#update();
    void this.#search({ first: !same });
  }

  #load(): void {
    const { question, view } = decode(location.hash);
    const same = asksTheSame(question, this.#question);
    this.#question = question;
    this.#view = { ...view, centre: view.centre ?? this.#view.centre, zoom: view.centre ? view.zoom : this.#view.zoom };
    this.#update();
    this.#showLayers();
    if (view.centre) this.#map.jump(view.centre, view.zoom);
    if (!view.selected) {
      this.#detail.hide();
      this.#open = null;
      this.#layChosen();
    }
    void this.#search({ first: !same, still: true });
  }

  #remember(how: "push" | "replace"): void {
    const address = `${location.pathname}${location.search}#${encode(this.#question, this.#view)}`;
    if (how === "push") history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }

  /** The controls say what is asked. */
  #update(): void {
    this.#query.update(this.#question);
    this.#filters.update(this.#question);
    const limited = Boolean(this.#question.bbox ?? this.#question.area);
    this.#frame.showArea(limited);
    if (!limited) this.#stopEditing();
    this.#map.setArea(this.#question);
  }

  async #search(options: { first: boolean; still?: boolean }, tries = 0): Promise<void> {
    this.#abort?.abort();
    if (!isAsked(this.#question)) {
      this.#result = null;
      this.#found = this.#cards = [];
      document.title = "rsitr";
      this.#results.showTrouble(null);
      this.#results.showStart(this.#info, this.#scenes);
      if (this.#view.selected) await this.#select(this.#view.selected, { focus: false, keep: true });
      await this.#showOnMap({ still: true });
      return;
    }
    const abort = new AbortController();
    this.#abort = abort;
    const question = this.#question;
    this.#results.showBusy(options.first || !this.#result);
    try {
      const result = await callWithKey(() => api.search(toBody(question), abort.signal));
      if (abort.signal.aborted) return;
      this.#result = result;
      this.#found = listCards(result, question.places);
      this.#cards = atLeast(this.#found, this.#view.least);
      await this.#show(options.still ?? false);
    } catch (error) {
      if (abort.signal.aborted) return;
      this.#result = null;
      this.#found = this.#cards = [];
      this.#results.clear();
      await this.#showOnMap({ still: true });
      this.#fail(error, () => void this.#search(options, tries + 1), tries);
    }
  }

  async #show(still: boolean): Promise<void> {
    const [result, question] = [this.#result, this.#question];
    if (!result) return;
    this.#results.showResult(result, this.#shown(), question, this.#info);
    this.#grid.mark(question.right, question.wrong);
    document.title = `${result.query.described || "Search"} – rsitr`;
    const best = formatRelevance(result.relevance);
    const found = summarise(result, this.#cards, question);
    this.#status.say(
      result.matches ? `${found}${best && `, the best with relevance ${best}`}` : explainMisses(result, this.#cards),
    );
    if (this.#view.selected) await this.#select(this.#view.selected, { focus: false, keep: true });
    if (this.#view.review) void this.#review.start(this.#view.selected);
    else void this.#review.load();
    await this.#showOnMap({ still });
  }

  #shown(): { cards: Card[]; found: Card[]; least: number } {
    return { cards: this.#cards, found: this.#found, least: this.#view.least };
  }

  /** Shows results of at least so many percent: in the grid, on the map, in files. */
  async #showFrom(percent: number): Promise<void> {
    this.#view.least = percent;
    this.#cards = atLeast(this.#found, percent);
    this.#remember("replace");
    await this.#show(true);
  }

  async #showOnMap(options: { still: boolean }): Promise<void> {
    await this.#map.show(this.#cards, this.#result?.threshold ?? 0, this.#question, this.#view, options);
    this.#layChosen();
  }

  async #showScenes(): Promise<void> {
    await this.#map.setScenes(this.#scenes, this.#view);
    this.#showLayers();
    this.#layChosen();
  }

  #fail(error: unknown, again: () => void, tries: number): void {
    showError(this.#results, error, { again, tries, withPicture: this.#question.pictures.length > 0 });
  }

  #hover(key: string, from: "grid" | "map"): void {
    this.#map.hover(key);
    this.#grid.hover(key);
    if (from === "map" && key) document.querySelector(".card.hovered")?.scrollIntoView({ block: "nearest" });
  }

  async #select(key: string, options: { focus: boolean; keep?: boolean }): Promise<void> {
    const card = this.#cards.find((own) => own.key === key) ?? (await this.#fetchCard(key));
    if (!card) {
      this.#view.selected = "";
      return;
    }
    // Opening details is a step that Back takes back; going from one to the next is none.
    const opens = !this.#view.selected && !options.keep;
    const isNew = this.#open?.key !== key;
    if (isNew && !options.keep) Object.assign(this.#view, NO_DAY);
    this.#view.selected = key;
    this.#open = card;
    if (isNew) this.#sights = [];
    this.#remember(opens ? "push" : "replace");
    this.#grid.select(key);
    this.#detail.show(card, this.#detailState(card));
    this.#review.follow(key);
    this.#map.select(key);
    if (!options.keep) this.#map.reveal(card, { closer: false });
    if (isNew) void this.#loadDays(card);
    this.#layChosen();
    if (options.focus) this.#detail.focus();
    else if (isNarrow() && !options.keep) this.#detail.focus();
  }

  /** A tile that is not among the results: one that a link names. */
  async #fetchCard(key: string): Promise<Card | null> {
    return api.getTile(key).then(fromTile, () => null);
  }

  #detailState(card: Card): DetailState {
    const at = this.#cards.indexOf(card);
    return {
      why: this.#view.why,
      words: this.#question.text,
      mark: markOf(this.#question, card.key),
      position: at < 0 ? "" : `of ${this.#cards.length}`,
      sights: this.#sights,
      day: this.#view.day,
      comparison: { against: this.#view.against, split: this.#view.split, fade: this.#view.fade },
    };
  }

  #layChosen(): void {
    const card = this.#view.selected ? this.#open : null;
    const sight = this.#sights.find((own) => own.scene_id === this.#view.day);
    this.#map.lay(card && sight ? inScene(card, sight) : card, this.#explainedWords());
    this.#map.compare(card, this.#view);
  }

  /** Shows the selected ground in another scene, or against another. */
  #showDay(changes: Partial<Pick<View, "day" | keyof Comparison>>): void {
    const before = this.#view.day;
    Object.assign(this.#view, changes);
    if (this.#view.against && this.#view.against === this.#view.day) this.#view.against = "";
    this.#remember(this.#view.day === before ? "replace" : "push");
    if (!this.#open) return;
    this.#detail.update(this.#detailState(this.#open));
    if ("day" in changes || "against" in changes) this.#map.revealSmall(this.#open);
    if (this.#view.day === before) this.#map.compare(this.#open, this.#view);
    else this.#layChosen();
  }

  /** To the day before or after the one that is shown. */
  #stepDay(by: number): void {
    const shown = this.#view.day || this.#open?.sceneId;
    const at = this.#sights.findIndex((sight) => sight.scene_id === shown);
    const next = this.#sights[at + by];
    if (at >= 0 && next) this.#showDay({ day: next.scene_id });
  }

  /** The ground of the open card through the days; told when it is known, if the card is still open. */
  async #loadDays(card: Card): Promise<void> {
    const sights = card.bbox ? await api.getDays(card.key).catch(() => []) : [];
    if (this.#open?.key !== card.key) return;
    this.#sights = sights;
    this.#detail.update(this.#detailState(this.#open));
    this.#layChosen();
  }

  /** The words whose heat map is shown; none without "why". */
  #explainedWords(): string {
    return this.#view.why ? this.#question.text : "";
  }

  #close(): boolean {
    const key = this.#view.selected;
    if (!key) return false;
    Object.assign(this.#view, { selected: "", review: false, ...NO_DAY });
    this.#review.stop();
    this.#detail.hide();
    this.#grid.select("");
    this.#map.select("");
    this.#open = null;
    this.#layChosen();
    this.#remember("replace");
    this.#grid.focus(key);
    return true;
  }

  #step(by: number): void {
    const at = this.#cards.findIndex((card) => card.key === this.#view.selected);
    const next = this.#cards[(at + by + this.#cards.length) % this.#cards.length];
    if (next) void this.#select(next.key, { focus: false });
  }

  #setWhy(on: boolean): void {
    this.#view.why = on;
    this.#remember("replace");
    const card = this.#open;
    if (card) this.#detail.update(this.#detailState(card));
    else if (on) this.#status.toast("Open a result to see why it was found.");
    this.#layChosen();
  }

  /** Thumbs up or down; again takes it back. The search is refined at once. */
  #mark(key: string, mark: Mark): void {
    const taken = markOf(this.#question, key) === mark;
    this.#question = toggleMark(this.#question, key, mark);
    this.#marked = [...this.#marked.filter((marked) => marked !== key), ...(taken ? [] : [key])];
    this.#remember("push");
    this.#grid.mark(this.#question.right, this.#question.wrong);
    this.#map.mark(this.#question.right, this.#question.wrong);
    const card = this.#open;
    if (card) this.#detail.update(this.#detailState(card));
    this.#status.say(taken ? "Mark taken back" : `Marked ${mark}; refining`);
    clearTimeout(this.#markTimer);
    this.#markTimer = window.setTimeout(() => void this.#search({ first: false }), MARK_DELAY_MS);
  }

  #undoMark(): void {
    const last = lastMarked(this.#question, this.#marked);
    const mark = last && markOf(this.#question, last);
    if (last && mark) this.#mark(last, mark);
  }

  async #saveDetector(): Promise<void> {
    const name = await askForName(this.#question.right.length, this.#question.wrong.length);
    if (!name) return;
    try {
      await callWithKey(() => api.saveDetector(name, toBody(this.#question)));
      const detectors = await api.getDetectors();
      if (this.#info) this.#filters.offer(this.#info, detectors);
      this.#status.toast(`Saved as detector “${name}”.`);
    } catch (error) {
      this.#status.toast(error instanceof Error ? error.message : "The detector could not be saved.");
    }
  }

  async #bring(files: File[]): Promise<void> {
    const file = files.find((own) => own.type.startsWith("image/")) ?? files[0];
    if (!file) return;
    this.#status.say("Sending the picture");
    try {
      const picture = await callWithKey(() => this.#pictures.send(file, this.#info));
      this.#ask({ pictures: [picture], like: [] });
    } catch (error) {
      this.#results.showTrouble({ text: error instanceof Error ? error.message : "The picture could not be sent." });
    }
  }

  /** Takes an area to search in, as a file or as text. */
  async #bringArea(content: File | string | undefined): Promise<void> {
    if (content === undefined) return;
    const name = typeof content === "string" ? "The pasted area" : content.name;
    this.#status.say("Reading the area");
    try {
      const most = this.#info?.limits.max_area_bytes;
      if (most && typeof content !== "string" && content.size > most) {
        throw new Error(`it has ${(content.size / 1e6).toFixed(1)} MB; the service takes up to ${(most / 1e6).toFixed(1)} MB.`);
      }
      const given = await callWithKey(() => api.sendArea(content));
      this.#map.fit(given.bbox);
      this.#ask({ bbox: null, area: given.geometry });
      this.#results.showTrouble(null);
      const outlines = formatNumber(given.n_outlines, "outline");
      const note = given.note && ` (${given.note})`;
      const next = isAsked(this.#question) ? "" : " Say what to look for in it.";
      this.#status.toast(`${name}: ${outlines}, ${formatNumber(given.n_corners, "corner")}${note}.${next}`);
    } catch (error) {
      this.#results.showTrouble({ text: `${name}: ${error instanceof Error ? error.message : "it cannot be read."}` });
    }
  }

  #setLayers(drawn: Partial<View>): void {
    Object.assign(this.#view, drawn);
    this.#remember("replace");
    this.#showLayers();
  }

  #showLayers(): void {
    this.#layers.show(this.#info, this.#scenes, this.#view);
    this.#map.setLayers(this.#view);
  }

  #measure(): void {
    this.#stopEditing();
    this.#frame.showDrawing(null);
    if (this.#map.toggleMeasuring()) void this.#showPane("map");
  }

  #moveCorners(): void {
    const on = this.#map.toggleCorners(this.#question);
    if (on) void this.#showPane("map");
    this.#frame.showEditing(on);
    this.#status.say(on ? "Move the corners of the area" : "The corners stay where they are");
  }

  #stopEditing(): boolean {
    if (!this.#map.stopEditing()) return false;
    this.#frame.showEditing(false);
    return true;
  }

  #setReview(on: boolean): void {
    this.#view.review = on;
    this.#remember("replace");
    if (on) void this.#review.start(this.#view.selected);
    else this.#review.stop();
  }

  /** What is there: the tile under a click on the ground, of the scene that is on top. */
  async #lookAt(at: Position): Promise<void> {
    try {
      const tiles = await callWithKey(() => api.getTilesAt(at));
      const tile = tiles.find((own) => own.scene_id === this.#map.top) ?? tiles[0];
      if (tile) await this.#select(tile.tile, { focus: false });
      else this.#status.toast(`No tile of this index lies at ${formatPosition(at)}.`);
    } catch (error) {
      this.#status.toast(error instanceof Error ? error.message : "The service did not answer.");
    }
  }

  async #startDrawing(kind: Drawing): Promise<void> {
    this.#stopEditing();
    await this.#showPane("map");
    if (!this.#map.toggleDrawing(kind)) return;
    this.#frame.showDrawing(kind);
    this.#status.say("Drawing on the map");
  }

  #drawn(drawn: Drawn | null): void {
    this.#frame.showDrawing(null);
    if (this.#map.editing) this.#frame.showEditing(true);
    if (!drawn) this.#map.setArea(this.#question);
    else this.#ask({ bbox: null, area: null, ...drawn });
  }

  async #useView(): Promise<void> {
    await this.#showPane("map");
    const bbox = this.#map.bounds();
    if (bbox) this.#ask({ bbox, area: null });
  }

  async #showPane(pane: "list" | "map"): Promise<void> {
    this.root.dataset.pane = pane;
    this.#switch.set(pane);
    if (pane === "map" && isNarrow() && this.#view.selected) this.#detail.hide();
    this.#map.resize();
    if (pane === "map" && this.#isStarted) await this.#loadMap();
  }

  #copyLink(): void {
    void copyLink(this.#status, { withPicture: this.#question.pictures.length > 0 });
  }

  #help(): void {
    showHelp(this.#version ? `rsitr ${this.#version}.` : "");
  }
}
