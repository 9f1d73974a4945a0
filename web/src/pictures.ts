// Pictures that a person brings, sent to the service.
import { sendPicture } from "./api";
import { texts } from "./language";
import { fixed } from "./numbers";
import type { IndexInfo } from "./types";

/** Sends a picture to the service; returns its id. A small copy stays here, to be shown in the search box. */
export class Pictures {
  readonly #shown = new Map<string, string>();

  thumbnail(picture: string): string | undefined {
    return this.#shown.get(picture);
  }

  async send(file: File, info: IndexInfo | null): Promise<string> {
    if (file.type && !file.type.startsWith("image/")) throw new Error(texts.query.noPicture(file.name));
    const most = info?.limits.max_upload_bytes;
    if (most && file.size > most) {
      throw new Error(texts.query.tooLarge(file.name, megabytes(file.size), megabytes(most)));
    }
    const picture = await sendPicture(file);
    this.#shown.set(picture, URL.createObjectURL(file));
    return picture;
  }
}

const megabytes = (bytes: number): string => fixed(bytes / 1e6, 1);
