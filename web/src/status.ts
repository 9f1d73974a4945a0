// Words about what happens: for the ear, and for a moment for the eye.
import { h } from "./dom";
import type { Said } from "./said";

const TOAST_MS = 4500;

export interface Status {
  element: HTMLElement;
  /** Tells assistive technology only: what everybody else sees anyway. */
  say: (text: Said) => void;
  /** Tells everybody, and goes away by itself. */
  toast: (text: Said) => void;
}

export function createStatus(): Status {
  const live = h("div", { class: "visually-hidden", role: "status", "aria-live": "polite", id: "status" });
  const toast = h("div", { class: "toast", hidden: true, "aria-hidden": "true" });
  let timer = 0;
  const say = (text: Said): void => {
    live.replaceChildren(text);
  };
  return {
    element: h("div", {}, live, toast),
    say,
    toast: (text) => {
      toast.replaceChildren(typeof text === "string" ? text : text.cloneNode(true));
      say(text);
      toast.hidden = false;
      clearTimeout(timer);
      timer = window.setTimeout(() => {
        toast.hidden = true;
      }, TOAST_MS);
    },
  };
}
