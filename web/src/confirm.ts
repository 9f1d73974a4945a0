// Asks before something is done that cannot be taken back.
import { open } from "./dialogs";
import { button, h } from "./dom";
import { texts } from "./language";

export function confirm(options: { title: string; text: string; action: string }): Promise<boolean> {
  return new Promise((done) => {
    let sure = false;
    const cancel = button({ label: texts.cancel }, () => dialog.close());
    const act = button({ label: options.action, className: "primary" }, () => {
      sure = true;
      dialog.close();
    });
    const dialog: HTMLDialogElement = h(
      "dialog",
      { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text", role: "alertdialog", class: "dialog" },
      h("h2", { id: "dialog-title" }, options.title),
      h("p", { id: "dialog-text" }, options.text),
      h("div", { class: "row end" }, cancel, act),
    );
    dialog.addEventListener("close", () => done(sure));
    open(dialog);
    cancel.focus();
  });
}
