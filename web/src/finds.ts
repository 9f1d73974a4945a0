// What is found by a detector or a saved search, or by one of two, as the answer to a search that the page can show.
import { search } from "./api";
import * as kept from "./keptapi";
import { texts } from "./language";
import type { Texts } from "./languages/en";
import { en } from "./languages/en";
import type { Hit, SearchResult } from "./types";

/** The answer, and how many finds there are, of which it may hold the best alone. */
export interface Found {
  result: SearchResult;
  total: number;
}

/** As `finds` of a view says: new or all of one, or of two what both find, or only the first or the second. */
export async function find(finds: string, signal: AbortSignal): Promise<Found> {
  const [part = "", first = "", second = ""] = finds.split(",");
  if (part === "all") return { result: await search((await kept.getSavedSearch(kept.split(first)[1])).search, signal), total: 0 };
  if (part === "new") {
    const found = await kept.getFinds(first);
    const about = { described: found.query, ...found, message: texts.kept.noneNew };
    return { result: answer(found.new, about), total: found.n_new };
  }
  const found = await kept.compare(first, second);
  const hits = { both: found.both, first: found.only_first, second: found.only_second }[part] ?? [];
  const total = { both: found.n_both, first: found.n_first, second: found.n_second }[part] ?? 0;
  return { result: answer(hits, { ...found, described: says(finds, en), message: texts.kept.noneLeft }), total };
}

/** Whose finds they are, in words; in English where they name what is kept of reviews, which all languages share. */
export function says(finds: string, { kept: said }: Texts = texts): string {
  const [part = "", ...of] = finds.split(",");
  const [first = "", second = ""] = of.map((reference) => kept.split(reference)[1]);
  if (part === "all") return said.allOf(first);
  if (part === "new") return said.newOf(first);
  if (part === "both") return said.ofBoth(first, second);
  return part === "first" ? said.onlyOf(first, second) : said.onlyOf(second, first);
}

function answer(
  found: Hit[],
  about: { described: string; message: string; model: string; threshold: number; n_tiles: number },
): SearchResult {
  const hits = found.map((hit, i) => ({ ...hit, rank: i + 1 }));
  return {
    query: { described: about.described },
    matches: hits.length > 0,
    state: hits.length > 0 ? "matches" : "nothing",
    message: about.message,
    model: about.model,
    relevance: Math.max(0, ...hits.map((hit) => hit.relevance ?? 0)),
    threshold: about.threshold,
    n_tiles: about.n_tiles,
    took_ms: 0,
    refined: false,
    unknown: [],
    is_foreign: false,
    hits,
    places: [],
  };
}
