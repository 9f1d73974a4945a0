// Values as people read them.
import type { BBox, Position } from "./types";

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const COUNT = new Intl.NumberFormat("en-GB");

export function formatDay(day: string | null): string {
  const date = day ? new Date(`${day}T00:00:00Z`) : null;
  return date && !Number.isNaN(date.getTime()) ? DAY.format(date) : "no date";
}

export const formatCount = (count: number): string => COUNT.format(count);

export function formatNumber(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

export function formatRelevance(relevance: number | null): string {
  return relevance === null ? "" : `${Math.round(relevance * 100)}%`;
}

export function formatPosition([longitude, latitude]: Position): string {
  const side = (value: number, positive: string, negative: string): string =>
    `${Math.abs(value).toFixed(5)}° ${value < 0 ? negative : positive}`;
  return `${side(latitude, "N", "S")}, ${side(longitude, "E", "W")}`;
}

/** Latitude and longitude, as other programs take them. */
export function plainPosition([longitude, latitude]: Position): string {
  return `${latitude.toFixed(6)}, ${longitude.toFixed(6)}`;
}

/** From one degree to another: 123.396 to 123.387° W, or 0.5° W to 1.2° E. */
function span(from: number, to: number, positive: string, negative: string, digits: number): string {
  const say = (value: number): string => Math.abs(value).toFixed(digits);
  const side = (value: number): string => (value < 0 ? negative : positive);
  return side(from) === side(to)
    ? `${say(from)} to ${say(to)}° ${side(to)}`
    : `${say(from)}° ${side(from)} to ${say(to)}° ${side(to)}`;
}

export function formatBox([west, south, east, north]: BBox): string {
  const digits = Math.max(Math.abs(east - west), Math.abs(north - south)) > 1 ? 1 : 3;
  return `${span(west, east, "E", "W", digits)}, ${span(south, north, "N", "S", digits)}`;
}

export function formatGsd(gsdM: number | null): string {
  if (gsdM === null) return "";
  return gsdM < 1 ? `${Math.round(gsdM * 100)} cm per pixel` : `${Number(gsdM.toPrecision(3))} m per pixel`;
}

/** A scene's name without its folders. */
export function shortName(scene: string): string {
  return scene.split("/").at(-1) ?? scene;
}

const digits = (value: number): string => COUNT.format(Number(value.toPrecision(3)));

export function formatLength(metres: number): string {
  return metres < 1000 ? `${digits(metres)} m` : `${digits(metres / 1000)} km`;
}

export function formatArea(squareMetres: number): string {
  if (squareMetres < 10_000) return `${digits(squareMetres)} m²`;
  return squareMetres < 1e6 ? `${digits(squareMetres / 1e4)} ha` : `${digits(squareMetres / 1e6)} km²`;
}
