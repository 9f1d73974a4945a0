// The page as a whole: what is asked, what was found, and who is told about it.
import { callWithKey } from "./access";
import * as api from "./api";
import type { Card } from "./card";
import { listCards } from "./card";
import { showHelp } from "./dialogs";
import type { Detail } from "./detail";
import { createDetail } from "./detail";
import { h, isNarrow } from "./dom";
import type { Drawn } from "./draw";
import type { Filters } from "./filters";
import { createFilters } from "./filters";
import { formatRelevance } from "./format";
import type { Grid, Mark } from "./grid";
import { createGrid } from "./grid";
import { Handwork } from "./handwork";
import { acceptAll, isPicture } from "./incoming";
import { Keeping } from "./keeping";
import { listenToKeys } from "./keyboard";
import { createLanguageChoice, texts } from "./language";
import type { Layers } from "./layers";
import { createLayers } from "./layers";
import type { MapFrame } from "./layout";
import { createBar, createMapFrame, createSwitch } from "./layout";
import { MapView } from "./mapview";
import { areMarked, lastMarked, markOf, toggleMarks } from "./marks";
import { count } from "./numbers";
import { Opened } from "./opened";
import { Pictures } from "./pictures";
import type { QueryBar } from "./query";
import { createQueryBar, describe } from "./query";
import { atLeast } from "./relevance";
import type { Results, Shown } from "./results";
import { Reviewing } from "./review";
import { createResults, explainMisses, summarise } from "./results";
import type { Said } from "./said";
import { sayError } from "./said";
import { copyAndSay, copyLink, saveCards } from "./sharing";
import type { Question, View } from "./state";
import { asksTheSame, decode, encode, isAsked, NO_DAY, PAGE_SIZE, toBody } from "./state";
import { waitUntilReady } from "./startup";
import { createStatus } from "./status";
import { createThemeSwitch } from "./theme";
import { showError } from "./trouble";
import type { IndexInfo, Position, Scene, SearchResult } from "./types";

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
  #abort: AbortController | null = null;
  #markTimer = 0;
  #marked: string[][] = [];

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
  readonly #opened: Opened;
  readonly #hand: Handwork;
  readonly #keeping: Keeping;
  readonly #bar: ReturnType<typeof createBar>;
  readonly #switch: ReturnType<typeof createSwitch>;

  constructor(readonly root: HTMLElement) {
    ({ question: this.#question, view: this.#view } = decode(location.hash));
    this.#query = createQueryBar({
      submit: (text) => this.#ask({ text }),
      cut: (most) => this.#status.toast(texts.query.cut(count(most))),
      choose: (files) => void this.#bring([...files]),
      dropPicture: (picture) => this.#ask({ pictures: this.#question.pictures.filter((own) => own !== picture) }),
      dropLike: (tiles) => this.#ask({ like: this.#question.like.filter((own) => !tiles.includes(own)) }),
      thumbnail: (picture) => this.#pictures.thumbnail(picture),
    });
    this.#filters = createFilters({
      change: (filters) => this.#ask(filters),
      draw: (kind) => void this.#hand.draw(kind),
      useView: () => void this.#hand.useView(),
      bringArea: (files) => void this.#hand.bringArea(files[0]),
    });
    this.#grid = createGrid({
      hover: (key) => this.#hover(key, "grid"),
      select: (key) => void this.#opened.select(key, { focus: true }),
      browse: (key) => this.#view.selected && void this.#opened.select(key, { focus: false }),
      mark: (key, mark) => this.#mark([key], mark),
    });
    this.#keeping = new Keeping({
      question: () => this.#question,
      view: () => this.#view,
      info: () => this.#info,
      status: this.#status,
      remember: (how) => this.#remember(how),
      take: (question, view) => this.#take(question, { kept: "", finds: "", saveAs: "", ...view }, false),
      showList: () => void this.#showPane("list"),
      offer: (detectors) => this.#info && this.#filters.offer(this.#info, detectors),
    });
    this.#results = createResults(this.#grid, this.#keeping.bar, {
      suggest: (text) => this.#ask({ text }),
      begin: (tile) => this.#ask({ like: [tile] }),
      locateScene: (scene) => void this.#showPane("map").then(() => this.#map.showScene(scene)),
      group: (places) => this.#ask({ places }),
      more: () => this.#ask({ k: Math.min(this.#question.k + PAGE_SIZE, this.#info?.limits.max_k ?? PAGE_SIZE) }),
      least: (percent) => void this.#showFrom(percent),
      review: () => this.#setReview(true),
      keep: () => this.#keeping.saveSearch(),
      save: (format) => this.#result && saveCards(format, this.#cards, this.#result, this.#status),
      copyLink: () => this.#copyLink(),
      undoMark: () => this.#undoMark(),
      clearMarks: () => this.#ask({ right: [], wrong: [] }),
      saveDetector: () => void this.#keeping.saveDetector(),
    });
    this.#review = new Reviewing({
      cards: () => this.#cards,
      result: () => this.#result,
      open: (key) => void this.#opened.select(key, { focus: false }),
      show: (verdicts) => this.#grid.review(verdicts),
      say: (text) => this.#status.say(text),
      fail: (text) => this.#status.toast(text),
      end: () => this.#setReview(false),
    });
    this.#detail = createDetail(this.#review.element, {
      close: () => this.#opened.close(),
      mark: (key, mark) => this.#mark([key], mark),
      alike: (key) => this.#ask({ text: "", pictures: [], detector: "", like: [key] }),
      why: (on) => this.#opened.setWhy(on),
      locate: (card) => void this.#showPane("map").then(() => this.#map.reveal(card, { closer: true })),
      copyLink: () => this.#copyLink(),
      copyPosition: (text) => void copyAndSay(text, texts.detail.copied(text), this.#status),
      step: (by) => this.#opened.step(by),
      day: (scene) => this.#opened.showDay({ day: scene }),
      compare: (comparison) => this.#opened.showDay(comparison),
      play: (on) => this.#opened.play(on),
    });
    this.#layers = createLayers({
      change: (drawn) => this.#setLayers(drawn),
      locate: (scene) => this.#map.showScene(scene),
    });
    this.#frame = createMapFrame(this.#layers.element, {
      draw: (kind) => void this.#hand.draw(kind),
      useView: () => void this.#hand.useView(),
      clearArea: () => this.#ask({ bbox: null, area: null }),
      corners: () => this.#hand.moveCorners(),
      measure: () => this.#hand.measure(),
      paint: () => void this.#hand.paint(),
      fit: () => this.#map.fitAll({ animate: true }),
    });
    this.#opened = new Opened(
      {
        question: () => this.#question,
        view: () => this.#view,
        cards: () => this.#cards,
        remember: (how) => this.#remember(how),
      },
      { grid: this.#grid, map: this.#map, detail: this.#detail, review: this.#review, status: this.#status },
    );
    const hands = {
      question: () => this.#question,
      info: () => this.#info,
      ask: (changes: Partial<Question>) => this.#ask(changes),
      showMap: () => this.#showPane("map"),
      open: (tile: string) => this.#opened.select(tile, { focus: false }),
      mark: (tiles: string[], mark: Mark) => this.#mark(tiles, mark),
      trouble: (text: Said | null) => this.#results.showTrouble(text === null ? null : { text }),
    };
    this.#hand = new Handwork(hands, this.#map, this.#frame, this.#status);
    const theme = createThemeSwitch(() => this.#map.recolour());
    this.#bar = createBar(this.#query.element, [this.#keeping.opener], [createLanguageChoice(), theme], {
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
      texts.bar.toResults,
    );
    this.root.append(
      skip,
      this.#bar.element,
      this.#filters.element,
      h(
        "main",
        { class: "panes" },
        h("h1", { class: "visually-hidden" }, texts.bar.heading),
        this.#keeping.element,
        this.#results.element,
        this.#frame.element,
        this.#detail.element,
      ),
      this.#switch.element,
      acceptAll({
        files: (files) => void (files.some(isPicture) ? this.#bring(files) : this.#hand.bringArea(files[0])),
        area: (text) => void this.#hand.bringArea(text),
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
      escape: () => this.#hand.stop() || this.#layers.close() || this.#filters.closeArea() || this.#opened.close() || this.#keeping.close(),
      drawing: (key) => this.#hand.press(key),
      toQuery: () => this.#query.input.select(),
      toResults: () => this.#grid.focus(),
      help: () => this.#help(),
      letters: {
        y: chosen((key) => (this.#review.isOn ? this.#review.decide("yes") : this.#mark([key], "right"))),
        n: chosen((key) => (this.#review.isOn ? this.#review.decide("no") : this.#mark([key], "wrong"))),
        u: () => this.#review.isOn && void this.#review.decide("unsure"),
        e: () => this.#review.isOn && this.#review.toNote(),
        l: chosen((key) => this.#ask({ text: "", pictures: [], detector: "", like: [key] })),
        ",": () => this.#opened.stepDay(-1),
        ".": () => this.#opened.stepDay(1),
        w: () => this.#opened.setWhy(!this.#view.why),
        k: () => this.#keeping.toggle(),
        p: () => void this.#hand.paint(),
        m: () => void this.#showPane(this.root.dataset.pane === "map" ? "list" : "map"),
      },
    });
  }

  /** Shows what the address says, then the map, which is the larger part of the page's code. */
  async start(): Promise<void> {
    this.#update();
    if (this.#isAsked) this.#results.showBusy(true);
    else this.#query.input.focus({ preventScroll: true });
    this.#version = await waitUntilReady((trouble) => this.#results.showTrouble(trouble));
    void this.#search({ first: true });
    if (!isNarrow()) this.#map.prefetch();
    await this.#loadIndex();
    this.#keeping.tell(); // who may write is known now
    void this.#keeping.update();
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
      this.#query.update(this.#question, info.knows_words);
      if (!this.#isAsked) this.#results.showStart(info, scenes);
      else if (this.#result) this.#results.showResult(this.#result, this.#shown(), this.#asShown, info);
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
      select: (key: string) => void this.#opened.select(key, { focus: false }),
      moved: (centre: Position, zoom: number) => {
        Object.assign(this.#view, { centre, zoom });
        this.#remember("replace");
      },
      drawn: (drawn: Drawn | null) => this.#hand.drawn(drawn),
      refused: (reason: Said) => this.#status.toast(reason),
      cursor: (at: Position) => this.#frame.showCursor(at),
      measured: (text: string | null) => this.#frame.showMeasured(text),
      split: (percent: number) => {
        this.#opened.showDay({ split: percent });
        const slider = document.getElementById("split") as HTMLInputElement | null;
        if (slider) slider.value = String(percent);
      },
      ground: (at: Position) => void this.#hand.lookAt(at),
      brush: this.#hand.painting.brush,
    };
    try {
      await this.#map.load(this.#frame.canvas, actions, this.#view, this.#info);
    } catch {
      this.#frame.showFailure(texts.map.noMap);
      return;
    }
    await this.#showScenes();
    await this.#showOnMap({ still: true });
  }

  /** Asks something new, or the same with other filters; every such step can be taken back with the browser. */
  #ask(changes: Partial<Question>): void {
    const question = { ...this.#question, ...changes };
    const same = asksTheSame(this.#question, question);
    const afresh = same ? {} : { right: [], wrong: [], k: PAGE_SIZE };
    this.#take({ ...question, ...afresh }, { kept: "", finds: "", ...(same ? {} : { saveAs: "" }) }, same);
  }

  /** Asks a question in place of the one that is asked, whose marks are those that it has. */
  #take(question: Question, view: Partial<View>, same: boolean): void {
    this.#question = question;
    Object.assign(this.#view, view);
    if (!same) {
      Object.assign(this.#view, { selected: "", least: 0, review: false, ...NO_DAY });
      this.#opened.forget();
    }
    clearTimeout(this.#markTimer);
    // Before anything that moves the map, which notes its view in the entry of the history that is the last one then.
    this.#remember("push");
    if (!same) {
      this.#detail.hide();
      this.#map.select("");
    }
    this.#update();
    void this.#keeping.update();
    void this.#search({ first: !same });
  }

  /** Whether there is something to search for, or finds to show. */
  get #isAsked(): boolean {
    return isAsked(this.#question) || this.#view.finds !== "";
  }

  /** What the results are found for, in words. */
  get #asked(): string {
    return this.#view.finds ? this.#keeping.asked : describe(this.#question);
  }

  /** The question as its results are shown: finds are all told at once, tile by tile. */
  get #asShown(): Question {
    const { finds } = this.#view;
    return finds && !finds.startsWith("all,") ? { ...this.#question, places: false, k: Number.POSITIVE_INFINITY } : this.#question;
  }

  #load(): void {
    const { question, view } = decode(location.hash);
    const same = asksTheSame(question, this.#question) && view.finds === this.#view.finds;
    this.#question = question;
    this.#view = { ...view, centre: view.centre ?? this.#view.centre, zoom: view.centre ? view.zoom : this.#view.zoom };
    this.#update();
    void this.#keeping.update();
    this.#showLayers();
    if (view.centre) this.#map.jump(view.centre, view.zoom);
    if (!view.selected) this.#opened.hide();
    void this.#search({ first: !same, still: true });
  }

  #remember(how: "push" | "replace"): void {
    const address = `${location.pathname}${location.search}#${encode(this.#question, this.#view)}`;
    if (how === "push") history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }

  /** The controls say what is asked. */
  #update(): void {
    this.#query.update(this.#question, this.#info?.knows_words ?? true);
    this.#filters.update(this.#question);
    const limited = Boolean(this.#question.bbox ?? this.#question.area);
    this.#frame.showArea(limited);
    if (!limited) this.#hand.stopEditing();
    this.#hand.painting.update();
    this.#map.setArea(this.#question);
  }

  async #search(options: { first: boolean; still?: boolean }, tries = 0): Promise<void> {
    this.#abort?.abort();
    this.#keeping.tell();
    if (!this.#isAsked) {
      this.#result = null;
      this.#found = this.#cards = [];
      document.title = "rsitr";
      this.#results.showTrouble(null);
      this.#results.showStart(this.#info, this.#scenes);
      if (this.#view.selected) await this.#opened.select(this.#view.selected, { focus: false, keep: true });
      await this.#showOnMap({ still: true });
      return;
    }
    const abort = new AbortController();
    this.#abort = abort;
    const question = this.#question;
    this.#results.showBusy(options.first || !this.#result);
    try {
      const result = await callWithKey(() =>
        this.#view.finds ? this.#keeping.find(abort.signal) : api.search(toBody(question), abort.signal),
      );
      if (abort.signal.aborted) return;
      this.#result = result;
      this.#found = listCards(result, this.#asShown.places);
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
    const [result, question] = [this.#result, this.#asShown];
    if (!result) return;
    this.#results.showResult(result, this.#shown(), question, this.#info);
    const asked = this.#asked;
    this.#grid.mark(question.right, question.wrong);
    document.title = `${asked || texts.bar.title} – rsitr`;
    const best = formatRelevance(result.relevance);
    const found = summarise(this.#cards, question, asked);
    const sure = [found, best && texts.results.best(best)].filter(Boolean).join(texts.comma);
    this.#status.say(result.matches ? sure : explainMisses(result, this.#cards, asked));
    if (this.#view.selected) await this.#opened.select(this.#view.selected, { focus: false, keep: true });
    if (this.#view.review) void this.#review.start(this.#view.selected);
    else void this.#review.load();
    await this.#showOnMap({ still });
  }

  #shown(): Shown {
    return { cards: this.#cards, found: this.#found, least: this.#view.least, asked: this.#asked };
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
    this.#opened.lay();
  }

  async #showScenes(): Promise<void> {
    await this.#map.setScenes(this.#scenes, this.#view);
    this.#showLayers();
    this.#opened.lay();
  }

  #fail(error: unknown, again: () => void, tries: number): void {
    showError(this.#results, error, { again, tries, withPicture: this.#question.pictures.length > 0 });
  }

  #hover(key: string, from: "grid" | "map"): void {
    this.#map.hover(key);
    this.#grid.hover(key);
    if (from === "map" && key) document.querySelector(".card.hovered")?.scrollIntoView({ block: "nearest" });
  }

  /** Thumbs up or down, of one or of many; again takes it back. The search is refined at once. */
  #mark(keys: string[], mark: Mark): void {
    const { detector, bbox, area, since, until, sensor } = this.#question;
    if (detector) {
      const limits = { bbox, area, since, until, sensor };
      void this.#keeping.changeDetector(detector, (own) => toggleMarks({ ...own, ...limits }, keys, mark));
      return;
    }
    const taken = areMarked(this.#question, keys, mark);
    this.#question = toggleMarks(this.#question, keys, mark);
    const others = this.#marked.map((marked) => marked.filter((key) => !keys.includes(key)));
    this.#marked = taken ? others : [...others, keys];
    this.#remember("push");
    this.#grid.mark(this.#question.right, this.#question.wrong);
    this.#map.mark(this.#question.right, this.#question.wrong);
    this.#opened.update();
    this.#hand.painting.update();
    const marked = this.#view.finds ? texts.grid.marked : texts.grid.refining;
    this.#status.say(taken ? texts.grid.unmarked : marked[mark]);
    clearTimeout(this.#markTimer);
    // Finds stay while they are marked; they change when what was learned is saved.
    if (this.#view.finds) this.#results.showMarks(this.#question, this.#info);
    else this.#markTimer = window.setTimeout(() => void this.#search({ first: false }), MARK_DELAY_MS);
  }

  #undoMark(): void {
    const last = lastMarked(this.#question, this.#marked);
    const mark = last[0] && markOf(this.#question, last[0]);
    if (mark) this.#mark(last, mark);
  }

  async #bring(files: File[]): Promise<void> {
    const file = files.find((own) => own.type.startsWith("image/")) ?? files[0];
    if (!file) return;
    this.#status.say(texts.query.sending);
    try {
      const picture = await callWithKey(() => this.#pictures.send(file, this.#info));
      this.#ask({ pictures: [picture], like: [] });
    } catch (error) {
      this.#results.showTrouble({ text: sayError(error, texts.query.unsent) });
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

  #setReview(on: boolean): void {
    this.#view.review = on;
    this.#remember("replace");
    if (on) void this.#review.start(this.#view.selected);
    else this.#review.stop();
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
