// What is on screen, as files: made here, so that it is exactly what is seen.
import type { Card } from "./card";
import type { SearchResult } from "./types";

const COLUMNS = [
  "rank",
  "tile",
  "scene",
  "date",
  "sensor",
  "score",
  "relevance",
  "suitability",
  "mark",
  "n_tiles",
  "dates",
  "longitude",
  "latitude",
  "query",
  "model",
  "state",
] as const;

type Row = Record<(typeof COLUMNS)[number], string | number | null>;

function toRow(card: Card, result: SearchResult): Row {
  const [longitude, latitude] = card.position ?? [null, null];
  return {
    rank: card.rank,
    tile: card.key,
    scene: card.scene,
    date: card.date,
    sensor: card.sensor,
    score: card.score,
    relevance: card.relevance,
    suitability: card.suitability,
    mark: card.mark,
    n_tiles: card.nTiles,
    dates: card.dates.join(" "),
    longitude,
    latitude,
    query: result.query.described,
    model: result.model,
    state: result.state,
  };
}

export function toGeoJson(cards: Card[], result: SearchResult): string {
  const features = cards.map((card) => ({
    type: "Feature",
    id: card.key,
    geometry: card.geometry,
    properties: { ...toRow(card, result), dates: card.dates },
  }));
  const { model, state, threshold } = result;
  const about = { query: result.query.described, model, state, threshold };
  return JSON.stringify({ type: "FeatureCollection", ...about, features }, null, 1);
}

export function toCsv(cards: Card[], result: SearchResult): string {
  const rows = cards.map((card) => toRow(card, result)).map((row) => COLUMNS.map((column) => quote(row[column])).join(","));
  return `${[COLUMNS.join(","), ...rows].join("\r\n")}\r\n`;
}

function quote(value: string | number | null): string {
  if (typeof value !== "string") return value === null ? "" : String(value);
  // A spreadsheet takes what begins like this for a formula, and a scene may be named by anyone.
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function saveFile(name: string, type: string, content: string | Blob): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
