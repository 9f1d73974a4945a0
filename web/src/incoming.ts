// What a person drops on the page or pastes into it: pictures to search by, and areas to search in.
import { h, icon } from "./dom";
import { texts } from "./language";

/** Text that looks like an area: GeoJSON, KML, GPX, or well-known text. */
const AREA = /^\uFEFF?\s*(\{[^]*"(type|coordinates)"|<(\?xml|kml|gpx|!--)|(SRID\s*=\s*\d+\s*;\s*)?(MULTI)?(POLYGON|LINESTRING|POINT)\s*Z?\s*\(|GEOMETRYCOLLECTION\s*\()/i;

export function looksLikeArea(text: string): boolean {
  return AREA.test(text.slice(0, 100_000));
}

export const isPicture = (file: File): boolean => file.type.startsWith("image/");

/** Listens for files and areas dropped or pasted anywhere; returns what is shown while a file hovers over the page. */
export function acceptAll(bring: { files: (files: File[]) => void; area: (text: string) => void }): HTMLElement {
  const curtain = h(
    "div",
    { class: "curtain", hidden: true },
    h(
      "div",
      {},
      icon("picture"),
      texts.query.drop,
    ),
  );
  const carries = (event: DragEvent, type: string): boolean => event.dataTransfer?.types.includes(type) ?? false;
  document.addEventListener("dragenter", (event) => {
    if (carries(event, "Files")) curtain.hidden = false;
  });
  document.addEventListener("dragover", (event) => {
    if (carries(event, "Files") || (carries(event, "text/plain") && !isField(event.target))) event.preventDefault();
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) curtain.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    curtain.hidden = true;
    const text = event.dataTransfer?.getData("text/plain") ?? "";
    if (carries(event, "Files")) bring.files([...(event.dataTransfer?.files ?? [])]);
    else if (looksLikeArea(text)) bring.area(text);
    else return;
    event.preventDefault();
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (files.length) bring.files(files);
    else if (looksLikeArea(text)) bring.area(text); // nobody searches for such words
    else return;
    event.preventDefault();
  });
  return curtain;
}

const isField = (target: EventTarget | null): boolean =>
  target instanceof Element && target.matches("input, textarea");
