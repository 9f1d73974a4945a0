// What is said to people: in the language of the page, except for what the service says, which is English.
import { ApiError } from "./api";
import { h } from "./dom";

export type Said = string | Node;

/** The service's words, marked as what they are: they are read aloud in their own language. */
export function quoteService(text: string): Node {
  return h("span", { lang: "en" }, text);
}

/** One thing after the other. */
export function join(...parts: Said[]): Said {
  return parts.every((part) => typeof part === "string") ? parts.join("") : h("span", {}, ...parts);
}

const capitalise = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

/** What went wrong, `alone` as a sentence of its own; `otherwise` where nobody says it. */
export function sayError(error: unknown, otherwise: string, { alone = false } = {}): Said {
  if (error instanceof ApiError && error.isOfService) return quoteService(alone ? capitalise(error.message) : error.message);
  return error instanceof Error ? error.message : otherwise;
}
