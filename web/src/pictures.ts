// Pictures that a person brings: chosen, dropped or pasted.
import { sendPicture } from "./api";
import { h, icon } from "./dom";
import type { IndexInfo } from "./types";

/** Listens for pictures dropped or pasted anywhere; returns what is shown while one hovers over the page. */
export function acceptPictures(bring: (files: File[]) => void): HTMLElement {
  const curtain = h(
    "div",
    { class: "curtain", hidden: true },
    h("div", {}, icon("picture"), "Drop a picture to find places like it"),
  );
  const carriesFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) curtain.hidden = false;
  });
  document.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) curtain.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    curtain.hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    bring([...(event.dataTransfer?.files ?? [])]);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    bring(files);
  });
  return curtain;
}

/** Sends a picture to the service; returns its id. A small copy stays here, to be shown in the search box. */
export class Pictures {
  readonly #shown = new Map<string, string>();

  thumbnail(picture: string): string | undefined {
    return this.#shown.get(picture);
  }

  async send(file: File, info: IndexInfo | null): Promise<string> {
    if (file.type && !file.type.startsWith("image/")) throw new Error(`${file.name} is not a picture.`);
    const most = info?.limits.max_upload_bytes;
    if (most && file.size > most) {
      throw new Error(`${file.name} has ${megabytes(file.size)} MB; the service takes up to ${megabytes(most)} MB.`);
    }
    const picture = await sendPicture(file);
    this.#shown.set(picture, URL.createObjectURL(file));
    return picture;
  }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
