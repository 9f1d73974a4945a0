// Light, dark, or as the system has it; remembered on this machine.
import { button, icon } from "./dom";
import { texts } from "./language";

const KEY = "rsitr-theme";
const THEMES = ["auto", "light", "dark"] as const;
const ICONS = { auto: "auto", light: "sun", dark: "moon" } as const;
type Theme = (typeof THEMES)[number];

export function createThemeSwitch(changed: () => void): HTMLElement {
  const stored = localStorage.getItem(KEY) as Theme | null;
  let theme: Theme = stored && THEMES.includes(stored) ? stored : "auto";
  const element = button({ icon: ICONS[theme], label: texts.bar.theme[theme], iconOnly: true }, () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto";
    localStorage.setItem(KEY, theme);
    apply();
    changed();
  });
  function apply(): void {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const label = texts.bar.theme[theme];
    element.replaceChildren(icon(ICONS[theme]));
    element.setAttribute("aria-label", label);
    element.title = label;
  }
  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  return element;
}
