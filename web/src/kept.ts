// The panel of detectors and saved searches: what each has learned or asks, what it finds that is new, and what can be done.
import { callWithKey } from "./access";
import { getDetectors } from "./api";
import { confirm } from "./confirm";
import { ask, nameRule } from "./dialogs";
import { button, h, replace } from "./dom";
import { find, says } from "./finds";
import * as kept from "./keptapi";
import type { Shown } from "./keptrow";
import { createRow, idOf } from "./keptrow";
import type { Keeping } from "./keeping";
import { texts } from "./language";
import { count } from "./numbers";
import { quoteService, sayError } from "./said";
import { fromBody, goOn, saysAll } from "./takeup";
import type { Question } from "./state";
import { EMPTY, toBody } from "./state";
import type { Detector, SavedSearch, SearchResult } from "./types";
import sheet from "./styles/kept.lazy.css";

const AT_ONCE = 2;

export class Panel {
  readonly #list = h("ul", { class: "kept-list", "aria-label": texts.kept.label });
  readonly #told = h("p", { class: "note", role: "status" });
  readonly #damaged = h("div", {});
  readonly #comparison = h("section", { class: "comparison-of-two", "aria-label": texts.kept.comparison, hidden: true });
  #rows = new Map<string, Shown>();
  readonly #whose = h("span", {});
  readonly #counts = new Map<string, string>();
  #compared = "";
  #round = 0;

  constructor(readonly keeping: Keeping) {
    const style = new CSSStyleSheet();
    style.replaceSync(sheet as string);
    document.adoptedStyleSheets.push(style);
    const close = button({ icon: "close", label: texts.close, iconOnly: true, className: "quiet" }, () => keeping.close());
    keeping.element.append(
      h("header", {}, h("h2", { tabindex: -1 }, texts.kept.heading), close),
      this.#told,
      this.#comparison,
      this.#damaged,
      this.#list,
    );
  }

  get #host(): Keeping["host"] {
    return this.keeping.host;
  }

  /** Lists what there is, and then what each finds. */
  async show(): Promise<void> {
    const round = ++this.#round;
    void this.#compare();
    const [detectors, { searches, damaged }] = await callWithKey(() => Promise.all([getDetectors(), kept.getSavedSearches()]));
    if (round !== this.#round) return;
    this.#draw(detectors, searches);
    replace(
      this.#damaged,
      ...damaged.map((name) =>
        h(
          "p",
          { class: "row problem" },
          texts.kept.unreadable(name),
          this.#canWrite && button({ label: texts.kept.deleteNamed(name) }, () => void this.#remove(`saved:${name}`)),
        ),
      ),
    );
    const waiting = [...this.#rows];
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next && round === this.#round; next = waiting.shift()) await this.#fill(...next);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  get #canWrite(): boolean {
    return this.#host.info()?.can_write ?? false;
  }

  #draw(detectors: Detector[], searches: SavedSearch[]): void {
    const focused = document.activeElement?.id;
    const make = (reference: string, query: string, facts: string): Shown =>
      createRow(reference, { query, facts, canWrite: this.#canWrite }, {
        run: () => void this.#act(() => this.#run(reference)),
        showNew: () => void this.#act(() => this.#showNew(reference)),
        goOn: () => void this.#act(() => this.#goOn(reference)),
        seen: () => void this.#act(() => this.#setSeen(reference)),
        rename: () => void this.#act(() => this.#rename(reference)),
        remove: () => void this.#remove(reference),
        compare: (on) => this.#choose(reference, on),
      });
    // What is the same stays in its place, under whoever points at it.
    const row = (reference: string, query: string, facts: string): [string, Shown] => {
      const known = this.#rows.get(reference);
      const same = known?.says === [query, facts, this.#canWrite].join("\n");
      return [reference, same ? known : make(reference, query, facts)];
    };
    this.#rows = new Map([
      ...detectors.map((one) => row(`detectors:${one.name}`, one.query, texts.kept.marks(one.n_right, one.n_wrong))),
      ...searches.map((one) => row(`saved:${one.name}`, one.query, "")),
    ]);
    const elements = [...this.#rows.values()].map((shown) => shown.element);
    if (elements.length !== this.#list.children.length || elements.some((one, i) => one !== this.#list.children[i])) {
      replace(this.#list, ...elements);
    }
    for (const element of elements) element.setAttribute("aria-busy", "true");
    this.#told.textContent = this.#rows.size
      ? ""
      : texts.kept.empty;
    this.#told.hidden = this.#rows.size > 0;
    this.#check();
    if (focused) document.getElementById(focused)?.focus();
  }

  /** What one of them has learned, and what it finds. */
  async #fill(reference: string, row: Shown): Promise<void> {
    const [kind, name] = kept.split(reference);
    try {
      const detector = kind === "detectors" ? await kept.getDetector(name) : null;
      if (detector) row.learned(detector);
      row.found(await kept.getFinds(reference), { withPictures: !detector?.right.length });
    } catch (error) {
      row.fail(sayError(error, texts.trouble.unanswered));
    }
    row.element.removeAttribute("aria-busy");
  }

  async #act(action: () => Promise<void>): Promise<void> {
    try {
      await callWithKey(action);
    } catch (error) {
      this.#host.status.toast(sayError(error, texts.trouble.unanswered));
    }
  }

  async #run(reference: string): Promise<void> {
    const [kind, name] = kept.split(reference);
    if (kind === "detectors") return this.#host.take({ ...EMPTY, detector: name }, {});
    const { search } = await kept.getSavedSearch(name);
    if (saysAll(search)) this.#host.take(fromBody(search), {});
    else this.#host.take({ ...EMPTY, places: search.places }, { finds: `all,${reference}` });
  }

  /** The new ones alone, ready to be marked. */
  async #showNew(reference: string): Promise<void> {
    this.#host.take(...(await this.#question(reference, { finds: `new,${reference}` })));
  }

  async #goOn(reference: string): Promise<void> {
    this.#host.take(...(await this.#question(reference, {})));
  }

  /** Goes on with a detector, its question changed by what was done to its results. */
  async changeDetector(name: string, change: (question: Question) => Question): Promise<void> {
    const [question, view] = await this.#question(`detectors:${name}`, {});
    this.#host.take(change(question), view);
  }

  async #question(reference: string, view: { finds?: string }): Promise<[Question, { finds?: string; saveAs?: string }]> {
    const [kind, name] = kept.split(reference);
    if (kind === "detectors") return [goOn(await kept.getDetector(name)), { ...view, saveAs: name }];
    return [fromBody((await kept.getSavedSearch(name)).search), view];
  }

  async #setSeen(reference: string): Promise<void> {
    const row = this.#rows.get(reference);
    await kept.setSeen(reference, row?.version);
    this.#host.status.say(texts.kept.seen(kept.split(reference)[1]));
    if (row) await this.#fill(reference, row);
  }

  async #rename(reference: string): Promise<void> {
    const [kind, name] = kept.split(reference);
    const title = kind === "detectors" ? texts.kept.renameDetector : texts.kept.renameSearch;
    const [text, label, action] = [texts.kept.getsOther(name), texts.detector.name, texts.kept.rename];
    const other = await ask({ title, text, label, type: "text", action, value: name, rule: nameRule() });
    if (!other || other === name) return;
    await kept.rename(reference, other);
    this.#follow(reference, `${kind}:${other}`);
    await this.#changed(texts.kept.renamed(other));
    document.getElementById(idOf(`${kind}:${other}`))?.focus();
  }

  async #remove(reference: string): Promise<void> {
    const [kind, name] = kept.split(reference);
    const text = kind === "detectors" ? texts.kept.deleteDetector : texts.kept.deleteSearch;
    const sure = await confirm({ title: texts.kept.sureDelete(name), text, action: texts.kept.delete });
    if (!sure) return;
    await this.#act(async () => {
      await kept.remove(reference);
      this.#follow(reference, null);
      await this.#changed(texts.kept.deleted(name));
      this.keeping.element.querySelector("h2")?.focus();
    });
  }

  /** The view speaks of something by its other name, or no longer where it is gone. */
  #follow(reference: string, other: string | null): void {
    const view = this.#host.view();
    const renamed = (text: string): string => text.split(",").map((one) => (one === reference ? other : one)).join(",");
    const speaks = (text: string): boolean => text.split(",").includes(reference);
    if (speaks(view.kept)) view.kept = other ? renamed(view.kept) : "1";
    if (speaks(view.finds)) view.finds = other ? renamed(view.finds) : "";
    if (reference === `detectors:${view.saveAs}`) view.saveAs = other ? kept.split(other)[1] : "";
    this.#host.remember("replace");
  }

  async #changed(said: string): Promise<void> {
    this.#host.status.toast(said);
    await Promise.all([this.keeping.offer(), this.show()]);
  }

  get #pair(): string[] {
    const { kept: open } = this.#host.view();
    return open === "1" ? [...this.#rows].filter(([, row]) => row.isChosen).map(([one]) => one) : open.split(",");
  }

  /** Two are compared: of a third, the one that was chosen first gives way. */
  #choose(reference: string, on: boolean): void {
    const others = this.#pair.filter((one) => one && one !== reference);
    const chosen = on ? [...others.slice(-1), reference] : others;
    const view = this.#host.view();
    view.kept = chosen.length === 2 ? chosen.join(",") : "1";
    this.#host.remember("replace");
    for (const [one, row] of this.#rows) row.choose(chosen.includes(one));
    void this.#compare();
  }

  #check(): void {
    const chosen = this.#pair;
    if (this.#host.view().kept !== "1") for (const [one, row] of this.#rows) row.choose(chosen.includes(one));
  }

  async #compare(): Promise<void> {
    const { kept: open } = this.#host.view();
    const [first, second] = open.split(",");
    this.#compared = open;
    this.#comparison.hidden = !second;
    if (!first || !second) return;
    try {
      const told = await callWithKey(() => kept.compare(first, second));
      if (this.#compared !== open) return;
      const part = (which: "both" | "first" | "second", label: string, n: number): HTMLElement => {
        const show = button({ label: texts.named(label) + count(n) }, () => this.#host.take({ ...EMPTY }, { finds: `${which},${open}` }));
        show.disabled = !n;
        return show;
      };
      replace(
        this.#comparison,
        h("h3", {}, texts.kept.find(told.first, told.second)),
        h(
          "div",
          { class: "row" },
          part("both", texts.kept.both, told.n_both),
          part("first", texts.kept.only(told.first), told.n_first),
          part("second", texts.kept.only(told.second), told.n_second),
        ),
        told.note && h("p", { class: "note" }, quoteService(told.note)),
      );
      this.#host.status.say(texts.kept.compared(count(told.n_both), told.first, count(told.n_first), told.second, count(told.n_second)));
    } catch (error) {
      replace(this.#comparison, h("p", { class: "problem" }, sayError(error, texts.kept.uncompared)));
    }
  }

  /** What is found, as the answer to a search. */
  async find(finds: string, signal: AbortSignal): Promise<SearchResult> {
    const { result, total } = await find(finds, signal);
    const shown = result.hits.length;
    this.#counts.set(finds, total > shown ? texts.kept.bestOf(count(shown), count(total)) : "");
    if (finds === this.#host.view().finds) this.#whose.textContent = this.#say(finds);
    return result;
  }

  #say(finds: string): string {
    const best = this.#counts.get(finds);
    return best ? texts.named(says(finds)) + best : says(finds);
  }

  /** Whose finds they are, in words. */
  says(finds: string): string {
    return says(finds);
  }

  /** Says of what the results are the finds, and what can be done with them. */
  async tell(): Promise<void> {
    const { finds } = this.#host.view();
    const [part = "", ...of] = finds.split(",");
    const [reference = ""] = of;
    this.#whose.textContent = this.#say(finds);
    replace(
      this.keeping.bar,
      this.#whose,
      h("span", { class: "spring" }),
      part === "new" && this.#canWrite && button({ icon: "check", label: texts.kept.allSeen }, () => void this.#act(async () => {
        await kept.setSeen(reference);
        this.#host.status.toast(texts.kept.noLonger);
        this.#back("1");
      })),
      part === "new" && button({ label: texts.kept.showAll }, () => void this.#act(() => this.#run(reference))),
      button({ icon: "bookmark", label: texts.kept.back }, () => this.#back(of.length > 1 ? of.join(",") : "1")),
    );
  }

  #back(to: string): void {
    this.#host.view().kept = to;
    this.#host.remember("push");
    this.#host.showList();
    void this.keeping.update().then(() => this.keeping.element.querySelector("h2")?.focus());
  }

  /** Keeps the search that is asked, by a name. */
  async saveSearch(): Promise<void> {
    const search = toBody(this.#host.question());
    const name = await ask({
      title: texts.kept.saveTitle,
      text: texts.kept.saveText,
      label: texts.detector.name,
      type: "text",
      action: texts.detector.save,
      rule: nameRule(),
    });
    if (!name) return;
    const { searches, damaged } = await callWithKey(() => kept.getSavedSearches());
    const isTaken = [...searches.map((one) => one.name), ...damaged].includes(name);
    const [title, text, action] = [texts.kept.sureReplace(name), texts.kept.taken, texts.kept.replace];
    if (isTaken && !(await confirm({ title, text, action }))) return;
    await callWithKey(() => kept.saveSearch(name, search, isTaken));
    await this.saved(`saved:${name}`);
    this.#host.status.toast(texts.kept.saved(name));
  }

  /** What was just saved was looked at by whoever saved it. */
  async saved(reference: string): Promise<void> {
    await kept.setSeen(reference).catch(() => undefined);
    if (this.#host.view().kept) await this.show();
  }
}
