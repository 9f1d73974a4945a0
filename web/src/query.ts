// The search box: words, and the pictures and tiles that stand beside them.
import { picturePath, resolve, showPicture } from "./api";
import { button, h, icon, isTouched, replace } from "./dom";
import { formatBox, formatDay } from "./format";
import { texts } from "./language";
import { list } from "./numbers";
import type { Question } from "./state";

export interface QueryBar {
  element: HTMLElement;
  input: HTMLInputElement;
  /** `knowsWords`: whether anything can be searched for that is not in the index itself. */
  update: (question: Question, knowsWords: boolean) => void;
}

interface Actions {
  submit: (text: string) => void;
  /** Told where words beyond so many characters were cut off. */
  cut: (most: number) => void;
  choose: (files: FileList | File[]) => void;
  dropPicture: (picture: string) => void;
  dropLike: (tiles: string[]) => void;
  thumbnail: (picture: string) => string | undefined;
}

const small = (tile: string): string => resolve(`${picturePath(tile)}?size=64`);

/** Characters that the service takes. */
const LONGEST = 1000;

const placeholder = (knowsWords: boolean): string => {
  if (!knowsWords) return texts.query.noWords;
  return isTouched() ? texts.query.describe : texts.query.describeOrDrop;
};

/** Tiles that have a chip each; more have one together. */
const MOST_CHIPS = 3;

export function createQueryBar(actions: Actions): QueryBar {
  const chips = h("span", { class: "chips" });
  const input = h("input", {
    type: "search",
    id: "q",
    name: "q",
    placeholder: placeholder(true),
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "true",
    enterkeyhint: "search",
    maxlength: LONGEST,
    oninput: () => {
      if (input.value.length >= LONGEST) actions.cut(LONGEST);
    },
    "aria-label": texts.query.label,
    "aria-keyshortcuts": "/",
  });
  const file = h("input", {
    type: "file",
    accept: "image/*",
    class: "hidden-input",
    tabindex: -1,
    "aria-label": texts.query.file,
    id: "picture-file",
    onchange: () => {
      if (file.files?.length) actions.choose(file.files);
      file.value = "";
    },
  });
  const choose = button({ icon: "picture", label: texts.query.choose, iconOnly: true }, () => file.click());
  choose.id = "choose-picture";
  const form = h(
    "form",
    {
      role: "search",
      class: "query",
      onsubmit: (event: Event) => {
        event.preventDefault();
        actions.submit(input.value.trim());
      },
    },
    icon("search"),
    chips,
    input,
    h("kbd", { "aria-hidden": "true", class: "hint" }, "/"),
    file,
    choose,
    h("button", { type: "submit", class: "button primary" }, texts.query.search),
  );

  let asked: string | null = null;
  const chip = (label: string, url: string | undefined, name: string, remove: () => void): HTMLElement => {
    const image = url ? h("img", { alt: "" }) : null;
    if (image && url) void showPicture(image, url);
    return h(
      "span",
      { class: "chip" },
      image ?? icon("picture"),
      h("span", { class: "chip-label" }, label),
      button({ icon: "close", label: name, iconOnly: true }, remove),
    );
  };

  return {
    element: form,
    input,
    update: (question, knowsWords) => {
      choose.hidden = !knowsWords;
      // What is being typed stays while the rest of the page arrives.
      if (document.activeElement !== input || question.text !== asked) input.value = question.text;
      asked = question.text;
      replace(
        chips,
        ...question.pictures.map((picture) =>
          chip(texts.query.yourPicture, actions.thumbnail(picture), texts.query.removePicture, () => actions.dropPicture(picture)),
        ),
        ...(question.like.length > MOST_CHIPS ? question.like.slice(0, 1) : question.like).map((tile) =>
          question.like.length > MOST_CHIPS
            ? chip(texts.query.likeTiles(question.like.length), small(tile), texts.query.removeTiles, () => actions.dropLike(question.like))
            : chip(texts.query.likeTile, small(tile), texts.query.removeTile, () => actions.dropLike([tile])),
        ),
      );
      const more = question.pictures.length + question.like.length > 0;
      input.placeholder = more && knowsWords ? texts.query.addWords : placeholder(knowsWords);
    },
  };
}

/** What is asked, in words of the page; empty where it is nothing but marks. */
export function describe(question: Question): string {
  const { asked } = texts;
  const wanted = [
    ...(question.text ? [asked.words(question.text)] : []),
    ...question.pictures.map(() => asked.picture),
    ...(question.like.length > MOST_CHIPS ? [asked.tiles(question.like.length)] : question.like.map(asked.tile)),
    ...(question.detector ? [asked.detector(question.detector)] : []),
  ];
  const without = question.not.map(asked.words);
  const parts = [
    wanted.length ? list(wanted) : "",
    without.length ? asked.without(list(without)) : "",
    question.bbox ? asked.inBox(formatBox(question.bbox)) : "",
    question.since ? asked.since(formatDay(question.since)) : "",
    question.until ? asked.until(formatDay(question.until)) : "",
    question.sensor ? asked.sensor(question.sensor) : "",
    question.area ? asked.inArea : "",
  ];
  return asked.whole(parts.filter(Boolean));
}
