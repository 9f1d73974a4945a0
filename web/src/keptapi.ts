// Asking the service about detectors and saved searches. One of them is named by its kind and its name: detectors:bridges.
import { getJson, request } from "./api";
import type { Compared, DetectorWithMarks, Finds, SavedSearch, SavedSearches, SearchBody } from "./types";

export type Kind = "detectors" | "saved";

/** The kind and the name in a reference. */
export function split(reference: string): [Kind, string] {
  const [kind = "", name = ""] = reference.split(":", 2);
  return [kind as Kind, name];
}

function pathOf(reference: string): string {
  const [kind, name] = split(reference);
  return `api/${kind}/${encodeURIComponent(name)}`;
}

async function send(path: string, method: string, body: unknown): Promise<Response> {
  return request(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export const getDetector = (name: string): Promise<DetectorWithMarks> => getJson(pathOf(`detectors:${name}`));
export const getSavedSearches = (): Promise<SavedSearches> => getJson("api/saved");
export const getSavedSearch = (name: string): Promise<SavedSearch> => getJson(pathOf(`saved:${name}`));
export const getFinds = (reference: string): Promise<Finds> => getJson(`${pathOf(reference)}/finds`);
export const compare = (first: string, second: string): Promise<Compared> =>
  getJson(`api/compare?${new URLSearchParams({ first, second })}`);

/** All that it finds has been looked at; of the index as it was then, if that is said. */
export async function setSeen(reference: string, version?: number): Promise<void> {
  await request(`${pathOf(reference)}/seen${version === undefined ? "" : `?version=${version}`}`, { method: "POST" });
}

export async function rename(reference: string, name: string): Promise<void> {
  await send(pathOf(reference), "PATCH", { name });
}

export async function remove(reference: string): Promise<void> {
  await request(pathOf(reference), { method: "DELETE" });
}

export async function saveSearch(name: string, search: SearchBody, replace: boolean): Promise<void> {
  await send("api/saved", "POST", { name, search, replace });
}
