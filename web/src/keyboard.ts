// The keys of the page. In a text field, letters are letters.
import { usesLetters } from "./dialogs";

export interface KeyActions {
  escape: () => boolean;
  /** A key while something is being drawn; whether it was used. */
  drawing: (key: string) => boolean;
  toQuery: () => void;
  toResults: () => boolean;
  help: () => void;
  letters: Record<string, () => unknown>;
}

export function listenToKeys(actions: KeyActions): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (use(event, actions)) event.preventDefault();
  });
}

function use(event: KeyboardEvent, actions: KeyActions): boolean {
  const target = event.target as HTMLElement;
  if (event.key === "Escape") {
    if (actions.escape()) return true;
    target.blur();
    return false;
  }
  if (actions.drawing(event.key)) return true;
  if (target.matches("input, select, textarea")) {
    return target.id === "q" && event.key === "ArrowDown" && actions.toResults();
  }
  if (!usesLetters()) return false;
  if (event.key === "/") actions.toQuery();
  else if (event.key === "?") actions.help();
  else {
    const act = actions.letters[event.key.toLowerCase()];
    act?.();
    return act !== undefined;
  }
  return true;
}
