// Taking what is on screen elsewhere: as a file, as a link, as coordinates.
import type { Card } from "./card";
import { copyText } from "./clipboard";
import { saveFile, toCsv, toGeoJson } from "./export";
import { texts } from "./language";
import type { Status } from "./status";
import type { SearchResult } from "./types";

export function saveCards(format: "geojson" | "csv", cards: Card[], result: SearchResult, status: Status): void {
  if (format === "csv") saveFile("places.csv", "text/csv", toCsv(cards, result));
  else saveFile("places.geojson", "application/geo+json", toGeoJson(cards, result));
  status.toast(texts.results.saved(cards.length, `places.${format}`));
}

export async function copyAndSay(text: string, said: string, status: Status): Promise<void> {
  status.toast((await copyText(text)) ? said : texts.share.refused(text));
}

/** Of this very view as a page of its own: what is embedded has only a part of it. */
export function wholeAddress(): string {
  return isEmbedded() ? new URL(`./${location.search}${location.hash}`, location.href).href : location.href;
}

/** Whether the page is shown within one of somebody else's. */
export const isEmbedded = (): boolean => location.pathname.endsWith("/embed");

export function copyLink(status: Status, options: { withPicture: boolean }): Promise<void> {
  const said = options.withPicture ? texts.share.copiedPicture : texts.share.copied;
  return copyAndSay(wholeAddress(), said, status);
}
