// In which language the page speaks: the one that was chosen on it, else the first of the browser's that it has.
import { h, icon } from "./dom";
import type { Texts } from "./languages/en";
import { en } from "./languages/en";
import { setLocale } from "./numbers";

interface Language {
  /** As it calls itself. */
  name: string;
  /** As the document is marked, and as numbers are written where the browser names no region. */
  tag: string;
  locale: string;
  /** Fetches its words; English is part of the page. */
  load: () => Promise<{ texts: Texts }>;
}

/** Every language of the page. Another one is a file beside the others and a line here. */
const LANGUAGES: Record<string, Language> = {
  en: { name: "English", tag: "en", locale: "en-GB", load: async () => ({ texts: en }) },
  de: { name: "Deutsch", tag: "de", locale: "de-DE", load: () => import("./languages/de") },
  es: { name: "Español", tag: "es", locale: "es-ES", load: () => import("./languages/es") },
  fr: { name: "Français", tag: "fr", locale: "fr-FR", load: () => import("./languages/fr") },
  zh: { name: "中文", tag: "zh-Hans", locale: "zh-CN", load: () => import("./languages/zh") },
};
const KEY = "rsitr-language";

let chosen = "en";

/** What the page says. Read it when it is said, not before: the language is known only then. */
export let texts: Texts = en;

export const isEnglish = (): boolean => chosen === "en";

function choose(): string {
  const wanted = [localStorage.getItem(KEY) ?? "", ...navigator.languages];
  return wanted.map((tag) => tag.split("-")[0]!.toLowerCase()).find((name) => Object.hasOwn(LANGUAGES, name)) ?? "en";
}

/** Takes the language of whoever looks at the page; English where its words cannot be had. */
export async function loadLanguage(): Promise<void> {
  const name = choose();
  const language = LANGUAGES[name]!;
  const loaded = await language.load().catch(() => null);
  if (!loaded) return;
  chosen = name;
  texts = loaded.texts;
  // Mexico writes numbers otherwise than Spain. Of English, browsers name a region that nobody has chosen.
  const regional = name === "en" ? undefined : navigator.languages.find((tag) => tag.startsWith(`${name}-`));
  setLocale(regional ?? language.locale);
  document.documentElement.lang = language.tag;
}

/** A choice of the language. Another one loads the page again, whose address holds the whole search. */
export function createLanguageChoice(): HTMLElement {
  const select = h(
    "select",
    {
      id: "language",
      "aria-label": texts.bar.language,
      title: texts.bar.language,
      onchange: () => {
        localStorage.setItem(KEY, select.value);
        location.reload();
      },
    },
    ...Object.entries(LANGUAGES).map(([name, { name: own, tag }]) => h("option", { value: name, lang: tag }, own)),
  );
  select.value = chosen;
  return h("span", { class: "language" }, icon("language"), select);
}
