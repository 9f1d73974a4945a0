// What stands in front of the page: asking for a key, naming a detector, and the help.
import { setKey } from "./api";
import { button, h } from "./dom";
import { texts } from "./language";
import type { Said } from "./said";
import { join } from "./said";

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
  text: Said;
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
          button({ label: texts.cancel }, () => dialog.close()),
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
export const nameRule = (): { pattern: RegExp; text: string } => ({
  pattern: /^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$/,
  text: texts.detector.rule,
});

let asking: Promise<boolean> | null = null;

/** Asks for the service's key, once however many requests were refused; whether one was given. */
export function askForKey(text: Said): Promise<boolean> {
  asking ??= ask({
    title: texts.key.title,
    text: join(text, " ", texts.key.stays),
    label: texts.key.label,
    type: "password",
    action: texts.key.use,
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
    title: texts.detector.title,
    text: [texts.detector.text(right, wrong), ...(known ? [texts.detector.replaces(known)] : [])].join(texts.space),
    label: texts.detector.name,
    type: "text",
    action: texts.detector.save,
    value: known,
    rule: nameRule(),
  });
}

const shortcuts = ({ help } = texts): [string, string][] => [
  ["/", help.toQuery],
  ["↓", help.toResults],
  ["← ↑ → ↓", help.walk],
  [help.enter, help.open],
  ["y, n", help.mark],
  ["y, n, u, e", help.review],
  ["w", help.why],
  ["l", help.alike],
  [", .", help.days],
  ["k", help.kept],
  ["p", help.paint],
  ["m", help.pane],
  [help.esc, help.escape],
  ["?", help.help],
];

const LETTERS = "rsitr-letters";
export const usesLetters = (): boolean => localStorage.getItem(LETTERS) !== "off";

export function showHelp(about: string): void {
  const { help } = texts;
  const letters = h("input", {
    type: "checkbox",
    id: "letters",
    onchange: () => localStorage.setItem(LETTERS, letters.checked ? "on" : "off"),
  });
  letters.checked = usesLetters();
  const dialog: HTMLDialogElement = h(
    "dialog",
    { "aria-labelledby": "dialog-title", class: "dialog help" },
    h("h2", { id: "dialog-title" }, help.title),
    h(
      "p",
      {},
      help.words,
    ),
    h(
      "p",
      {},
      help.marks,
    ),
    h(
      "p",
      {},
      help.percentage,
    ),
    h("h3", {}, help.keys),
    h(
      "dl",
      { class: "keys" },
      ...shortcuts().flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]),
    ),
    h("label", { class: "check" }, letters, help.letters),
    h(
      "p",
      { class: "about" },
      about,
      " ",
      h("a", { href: "static/licenses.txt", target: "_blank", rel: "noopener" }, help.licences),
    ),
    h(
      "div",
      { class: "row end" },
      button({ label: texts.close }, () => dialog.close()),
    ),
  );
  open(dialog);
}
