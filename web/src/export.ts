// What is on screen, as files: made here, so that it is exactly what is seen.
import type { Card } from "./card";

const COLUMNS = [
  "rank",
  "tile",
  "scene",
  "date",
  "sensor",
  "score",
  "relevance",
  "n_tiles",
  "dates",
  "longitude",
  "latitude",
] as const;

type Row = Record<(typeof COLUMNS)[number], string | number | null>;

function toRow(card: Card): Row {
  const [longitude, latitude] = card.position ?? [null, null];
  return {
    rank: card.rank,
    tile: card.key,
    scene: card.scene,
    date: card.date,
    sensor: card.sensor,
    score: card.score,
    relevance: card.relevance,
    n_tiles: card.nTiles,
    dates: card.dates.join(" "),
    longitude,
    latitude,
  };
}

export function toGeoJson(cards: Card[], described: string): string {
  const features = cards.map((card) => ({
    type: "Feature",
    id: card.key,
    geometry: card.geometry,
    properties: { ...toRow(card), dates: card.dates },
  }));
  return JSON.stringify({ type: "FeatureCollection", query: described, features }, null, 1);
}

export function toCsv(cards: Card[]): string {
  const rows = cards.map(toRow).map((row) => COLUMNS.map((column) => quote(row[column])).join(","));
  return `${[COLUMNS.join(","), ...rows].join("\r\n")}\r\n`;
}

function quote(value: string | number | null): string {
  if (typeof value !== "string") return value === null ? "" : String(value);
  // A spreadsheet takes what begins like this for a formula, and a scene may be named by anyone.
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function saveFile(name: string, type: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
