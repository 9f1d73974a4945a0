// Talking to the service: one function per thing that it can be asked.
import { texts } from "./language";
import type { BBox, Brushed, Detector, GivenArea, Health, Heat, IndexInfo, Position, Review, Scene, SearchBody, SearchResult, Sight, Tile } from "./types";

const KEY = "rsitr-key";

/** Seconds until a service that cannot be reached is asked again. */
const UNREACHED_S = 3;

/** An answer that is no success, in words for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfterS: number | null,
    /** Whether these are the service's words, which are English, or the page's. */
    readonly isOfService = false,
  ) {
    super(message);
  }
}

/** A path of the service, from wherever the page is served. */
export function resolve(path: string): string {
  return new URL(path.replace(/^\//, ""), document.baseURI).href;
}

export function getKey(): string | null {
  return sessionStorage.getItem(KEY);
}

export function setKey(key: string): void {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export function keyHeaders(): Record<string, string> {
  const key = getKey();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

export async function request(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(resolve(path), { ...options, headers: { ...keyHeaders(), ...options.headers } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, texts.trouble.unreached, UNREACHED_S);
  }
  if (response.ok) return response;
  const told = await explain(response);
  const text = told ?? texts.trouble.status(response.status);
  throw new ApiError(response.status, text, readRetryAfter(response), told !== null);
}

async function explain(response: Response): Promise<string | null> {
  const body: unknown = await response.json().catch(() => null);
  const detail = (body as { error?: { detail?: string; title?: string } } | null)?.error;
  return detail?.detail ?? detail?.title ?? null;
}

function readRetryAfter(response: Response): number | null {
  const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 1), 60) : null;
}

export async function getJson<T>(path: string): Promise<T> {
  return (await (await request(path)).json()) as T;
}

export const getHealth = (): Promise<Health> => getJson("api/health");
export const getIndex = (): Promise<IndexInfo> => getJson("api/index");
export const getScenes = async (): Promise<Scene[]> => (await getJson<{ scenes: Scene[] }>("api/scenes")).scenes;
export const getTile = (tile: string): Promise<Tile> => getJson(`api/tiles/${encodeURIComponent(tile)}`);
export const getTilesAt = async ([lon, lat]: Position): Promise<Tile[]> =>
  (await getJson<{ tiles: Tile[] }>(`api/tiles?lon=${lon}&lat=${lat}`)).tiles;
export async function getTilesAlong(way: Position[], radiusM: number): Promise<Brushed> {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ way, radius_m: radiusM });
  return (await (await request("api/tiles", { method: "POST", headers, body })).json()) as Brushed;
}
export const getDays = async (tile: string): Promise<Sight[]> =>
  (await getJson<{ days: Sight[] }>(`api/tiles/${encodeURIComponent(tile)}/days`)).days;
export const getDetectors = async (): Promise<Detector[]> =>
  (await getJson<{ detectors: Detector[] }>("api/detectors")).detectors;

export async function search(body: SearchBody, signal: AbortSignal): Promise<SearchResult> {
  const headers = { "Content-Type": "application/json" };
  const response = await request("api/search", { method: "POST", headers, body: JSON.stringify(body), signal });
  return (await response.json()) as SearchResult;
}

export async function getHeat(search: SearchBody, view: BBox, zoom: number, signal: AbortSignal): Promise<Heat> {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ search, view, zoom });
  return (await (await request("api/heat", { method: "POST", headers, body, signal })).json()) as Heat;
}

export async function sendPicture(file: Blob): Promise<string> {
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  const response = await request("api/pictures", { method: "POST", headers, body: file });
  return ((await response.json()) as { picture: string }).picture;
}

/** Reads an area from a file or text of whatever kind. */
export async function sendArea(content: Blob | string): Promise<GivenArea> {
  const headers = { "Content-Type": "application/octet-stream" };
  const response = await request("api/areas", { method: "POST", headers, body: content });
  return (await response.json()) as GivenArea;
}

/** `afresh`: its earlier marks give way to these. */
export async function saveDetector(name: string, body: SearchBody, afresh: boolean): Promise<void> {
  const { marks, ...search } = body;
  const headers = { "Content-Type": "application/json" };
  await request("api/detectors", { method: "POST", headers, body: JSON.stringify({ name, search, marks, afresh }) });
}

export const getReviews = async (query: string): Promise<Review[]> =>
  (await getJson<{ reviews: Review[] }>(`api/reviews?${new URLSearchParams({ query })}`)).reviews;

export async function saveReview(review: Omit<Review, "when">): Promise<Review> {
  const headers = { "Content-Type": "application/json" };
  return (await (await request("api/reviews", { method: "POST", headers, body: JSON.stringify(review) })).json()) as Review;
}

export async function removeReview(query: string, tile: string): Promise<void> {
  await request(`api/reviews?${new URLSearchParams({ query, tile })}`, { method: "DELETE" });
}

export async function exportReviews(form: string, query: string): Promise<Blob> {
  return (await request(`api/reviews/export.${form}?${new URLSearchParams({ query })}`)).blob();
}

/** The address of a picture with other values in its query string. */
export function withQuery(path: string, values: Record<string, string | number>): string {
  const url = new URL(resolve(path));
  for (const [name, value] of Object.entries(values)) url.searchParams.set(name, String(value));
  return url.href;
}

export function picturePath(tile: string): string {
  return `api/tiles/${encodeURIComponent(tile)}/picture.jpg`;
}

/** The address of the heat map that belongs to a tile's picture. */
export function explanationUrl(picture: string, words: string, sizePx: number): string {
  return withQuery(picture.replace(/picture\.(jpg|png)/, "explanation.png"), { q: words, size: sizePx });
}

/**
 * Shows a picture of the service in an element. A key travels in a header, which an `img` cannot send: with a key the
 * picture is fetched here and shown from memory.
 */
export async function showPicture(image: HTMLImageElement, url: string): Promise<void> {
  // Of embeddings that were made elsewhere there is none: nothing is shown rather than a broken picture.
  image.onerror = () => image.classList.add("missing");
  image.onload = () => image.classList.remove("missing");
  if (!getKey() || url.startsWith("blob:")) {
    image.src = url;
    return;
  }
  image.dataset.url = url;
  const response = await fetch(url, { headers: keyHeaders() }).catch(() => null);
  if (image.dataset.url !== url) return;
  if (!response?.ok) {
    image.dispatchEvent(new Event("error"));
    return;
  }
  const shown = URL.createObjectURL(await response.blob());
  image.addEventListener("load", () => URL.revokeObjectURL(shown), { once: true });
  image.src = shown;
}
