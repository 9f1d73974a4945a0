// Values as people read them, in the language of the page.
import { texts } from "./language";
import { day, digits, fixed, percent } from "./numbers";
import type { BBox, Position } from "./types";

export function formatDay(value: string | null): string {
  const date = value ? new Date(`${value}T00:00:00Z`) : null;
  return date && !Number.isNaN(date.getTime()) ? day(date) : texts.units.noDate;
}

export function formatRelevance(relevance: number | null): string {
  return relevance === null ? "" : percent(Math.round(relevance * 100) / 100);
}

type Axis = "latitude" | "longitude";

/** Degrees with their side of the equator or of Greenwich; `value` is how many, as it is written. */
function sided(degrees: number, axis: Axis, value: string): string {
  return axis === "latitude" ? texts.units.latitude(value, degrees >= 0) : texts.units.longitude(value, degrees >= 0);
}

export function formatPosition([longitude, latitude]: Position): string {
  const say = (degrees: number, axis: Axis): string => sided(degrees, axis, fixed(Math.abs(degrees), 5));
  return texts.units.position(say(latitude, "latitude"), say(longitude, "longitude"));
}

/** A line of a map's grid. */
export function formatDegrees(degrees: number, axis: Axis): string {
  return degrees ? sided(degrees, axis, digits(Math.abs(degrees), 9)) : `${digits(0)}°`;
}

/** Latitude and longitude, as other programs take them. */
export function plainPosition([longitude, latitude]: Position): string {
  return `${latitude.toFixed(6)}, ${longitude.toFixed(6)}`;
}

/** From one degree to another: 123.396 to 123.387° W, or 0.5° W to 1.2° E. */
function span(from: number, to: number, axis: Axis, places: number): string {
  const say = (degrees: number): string => fixed(Math.abs(degrees), places);
  const start = from < 0 === to < 0 ? say(from) : sided(from, axis, say(from));
  return texts.units.span(start, sided(to, axis, say(to)));
}

export function formatBox([west, south, east, north]: BBox): string {
  const places = Math.max(Math.abs(east - west), Math.abs(north - south)) > 1 ? 1 : 3;
  return [span(west, east, "longitude", places), span(south, north, "latitude", places)].join(texts.comma);
}

export function formatGsd(gsdM: number | null): string {
  if (gsdM === null) return "";
  return gsdM < 1 ? texts.units.cmPerPixel(digits(Math.round(gsdM * 100))) : texts.units.mPerPixel(digits(gsdM));
}

/** A scene's name without its folders. */
export function shortName(scene: string): string {
  return scene.split("/").at(-1) ?? scene;
}

export function formatLength(metres: number): string {
  return metres < 1000 ? texts.units.metres(digits(metres)) : texts.units.kilometres(digits(metres / 1000));
}

export function formatArea(squareMetres: number): string {
  const { squareMetres: small, hectares, squareKilometres } = texts.units;
  if (squareMetres < 10_000) return small(digits(squareMetres));
  return squareMetres < 1e6 ? hectares(digits(squareMetres / 1e4)) : squareKilometres(digits(squareMetres / 1e6));
}
