// What stands in front of the page: asking for a key, naming a detector, and the help.
import { setKey } from "./api";
import { button, h } from "./dom";

export function open(dialog: HTMLDialogElement): void {
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.showModal();
}

/** Asks for one line of text; resolves to null when it was closed without. */
export function ask(options: {
  title: string;
  text: string;
  label: string;
  type: string;
  action: string;
  /** What stands there already. */
  value?: string;
  /** What the answer must be like, and how that is said. */
  rule?: { pattern: RegExp; text: string };
}): Promise<string | null> {
  return new Promise((done) => {
    let answer: string | null = null;
    const input = h("input", { type: options.type, id: "answer", required: true, autocomplete: "off", maxlength: 200 });
    input.value = options.value ?? "";
    const problem = h("p", { class: "problem", role: "alert" });
    const dialog = h(
      "dialog",
      { "aria-labelledby": "dialog-title", class: "dialog" },
      h("h2", { id: "dialog-title" }, options.title),
      h("p", {}, options.text),
      h(
        "form",
        {
          onsubmit: (event: Event) => {
            event.preventDefault();
            if (options.rule && !options.rule.pattern.test(input.value.trim())) {
              problem.textContent = options.rule.text;
              input.focus();
              return;
            }
            answer = input.value.trim();
            dialog.close();
          },
        },
        h("label", {}, options.label, input),
        problem,
        h(
          "div",
          { class: "row end" },
          button({ label: "Cancel" }, () => dialog.close()),
          h("button", { type: "submit", class: "button primary" }, options.action),
        ),
      ),
    );
    dialog.addEventListener("close", () => done(answer));
    open(dialog);
    input.focus();
    input.select();
  });
}

/** What names of detectors and saved searches are like. */
export const NAME_RULE = {
  pattern: /^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$/,
  text: "A name has at most 64 letters, digits, spaces, - and _, and begins with a letter or a digit.",
};

let asking: Promise<boolean> | null = null;

/** Asks for the service's key, once however many requests were refused; whether one was given. */
export function askForKey(text: string): Promise<boolean> {
  asking ??= ask({
    title: "This service asks for a key",
    text: `${text} The key stays in this tab and is forgotten when it closes.`,
    label: "Key",
    type: "password",
    action: "Use this key",
  }).then((key) => {
    asking = null;
    if (key) setKey(key);
    return Boolean(key);
  });
  return asking;
}

/** `known` is the detector that was gone on with. */
export function askForName(right: number, wrong: number, known: string): Promise<string | null> {
  return ask({
    title: "Save as a detector",
    text: `A detector is learned from this search and its ${right} right and ${wrong} wrong marks. It can be used for later searches and for new scenes.${known && ` Under the name “${known}” these marks take the place of its earlier ones.`}`,
    label: "Name",
    type: "text",
    action: "Save",
    value: known,
    rule: NAME_RULE,
  });
}

const SHORTCUTS: [string, string][] = [
  ["/", "to the search box"],
  ["↓", "from the search box to the results"],
  ["← ↑ → ↓", "from result to result"],
  ["Enter", "open a result"],
  ["y, n", "mark the chosen result right or wrong"],
  ["y, n, u, e", "in a review: yes, no, unsure, a note"],
  ["w", "why: show where the words are found"],
  ["l", "more like the chosen result"],
  [", .", "the day before, the day after, of the open result"],
  ["k", "saved searches and detectors"],
  ["m", "list or map (on a small screen)"],
  ["Esc", "stop drawing, close details"],
  ["?", "this help"],
];

const LETTERS = "rsitr-letters";
export const usesLetters = (): boolean => localStorage.getItem(LETTERS) !== "off";

export function showHelp(about: string): void {
  const letters = h("input", {
    type: "checkbox",
    id: "letters",
    onchange: () => localStorage.setItem(LETTERS, letters.checked ? "on" : "off"),
  });
  letters.checked = usesLetters();
  const dialog: HTMLDialogElement = h(
    "dialog",
    { "aria-labelledby": "dialog-title", class: "dialog help" },
    h("h2", { id: "dialog-title" }, "How to search"),
    h(
      "p",
      {},
      "Say what a place looks like: “storage tanks beside a river”. Or drop, paste or choose a picture of such a place. Words and pictures go together.",
    ),
    h(
      "p",
      {},
      "Thumbs up and down on results refine the search at once. A box or an outline drawn on the map limits it. The address of the page holds the whole search, except for pictures of your own.",
    ),
    h(
      "p",
      {},
      "The percentage is how likely it is that the place shows what you asked for, whatever else there is in the index. From half on it counts as a match; where nothing reaches that, the page says so, and what is closest is shown all the same. It is measured on pictures like aerial photographs: on other imagery look before you trust it.",
    ),
    h("h3", {}, "Keys"),
    h(
      "dl",
      { class: "keys" },
      ...SHORTCUTS.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]),
    ),
    h("label", { class: "check" }, letters, "Single letters are shortcuts"),
    h(
      "p",
      { class: "about" },
      about,
      " ",
      h("a", { href: "static/licenses.txt", target: "_blank", rel: "noopener" }, "Licences"),
    ),
    h(
      "div",
      { class: "row end" },
      button({ label: "Close" }, () => dialog.close()),
    ),
  );
  open(dialog);
}
