// Where the model does not know what was asked for: which words these are, and what it knows that is near them.
import { h, replace } from "./dom";
import { isEnglish, texts } from "./language";
import { either } from "./numbers";
import type { Question } from "./state";
import type { IndexInfo, SearchResult, UnknownWord } from "./types";

const OFFERED = 6;
/** Letters of a word that is looked for within others: shorter ones are in anything. */
const LEAST_PART = 4;

export interface Hint {
  element: HTMLElement;
  show: (result: SearchResult, question: Question, info: IndexInfo | null) => void;
}

/** Whether the words of the index are English, and whoever looks at the page speaks otherwise. */
export const speaksOtherwise = (info: IndexInfo | null): boolean => info?.language === "en" && !isEnglish();

/** The same text with one word in the place of another, whatever its case. */
function replaceWord(text: string, word: string, other: string): string {
  const escaped = word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return text.replace(new RegExp(`(?<![\\p{L}\\p{N}_])${escaped}(?![\\p{L}\\p{N}_])`, "giu"), () => other);
}

const longestFirst = (): string[] => Object.keys(texts.vocabulary).sort((a, b) => b.length - a.length);

/** A word in English, or the words of which it is made; empty where none is known. */
function translateWord(word: string): string {
  const { vocabulary } = texts;
  const whole = Object.hasOwn(vocabulary, word) ? vocabulary[word] : undefined;
  if (whole !== undefined) return whole;
  const keys = longestFirst();
  if (!/\p{Script=Han}/u.test(word)) {
    const part = keys.find((key) => key.length >= LEAST_PART && word.includes(key));
    return part === undefined ? "" : vocabulary[part]!;
  }
  const found: string[] = [];
  for (let at = 0; at < word.length; ) {
    const key = keys.find((each) => word.startsWith(each, at));
    if (key !== undefined) found.push(vocabulary[key]!);
    at += key?.length ?? 1;
  }
  return found.join(" ");
}

/** What was asked for in English, as far as the page knows the words; empty where it knows none. */
function translate(text: string, unknown: UnknownWord[]): string {
  let isKnown = false;
  const put = (said: string, word: string, other: string): string => {
    const next = replaceWord(said, word, other);
    isKnown ||= other !== "" && next !== said;
    return next;
  };
  const phrases = longestFirst().filter((key) => key.includes(" "));
  const said = phrases.reduce((now, phrase) => put(now, phrase, texts.vocabulary[phrase]!), text);
  const whole = unknown.reduce((now, { word }) => put(now, word, translateWord(word)), said);
  return isKnown ? whole.replace(/\s+/g, " ").trim() : "";
}

export function createHint(search: (text: string) => void): Hint {
  const element = h("div", { class: "hint-words", hidden: true });
  const offer = (label: string, offered: { said: string; text: string }[], lang: string | null): HTMLElement | null =>
    offered.length
      ? h(
          "div",
          { class: "suggestions row" },
          h("span", { class: "note" }, label),
          ...offered.slice(0, OFFERED).map(({ said, text }) => {
            const title = texts.words.search(text);
            return h("button", { type: "button", title, onclick: () => search(text) }, h("span", { lang }, said));
          }),
        )
      : null;
  return {
    element,
    show: ({ unknown }, { text }, info) => {
      element.hidden = !unknown.length;
      if (!unknown.length) return;
      const translated = speaksOtherwise(info) ? translate(text, unknown) : "";
      const near = unknown
        .flatMap(({ word, nearest }) => nearest.map((other) => ({ said: other, text: replaceWord(text, word, other) })))
        .filter((each) => each.text !== text);
      const examples = (info?.suggestions ?? []).map((each) => ({ said: each, text: each }));
      const told = texts.words.unknown(either(unknown.map(({ word }) => texts.asked.words(word))));
      replace(
        element,
        h("p", {}, speaksOtherwise(info) ? told + texts.space + texts.words.english : told),
        offer(texts.words.translated, translated ? [{ said: translated, text: translated }] : [], "en"),
        offer(texts.words.nearest, near, info?.language ?? null),
        !translated && !near.length && offer(texts.words.instead, examples, info?.language ?? null),
      );
    },
  };
}
