// Making elements.

type Attributes = Record<string, string | number | boolean | null | undefined | ((event: never) => void)>;
export type Child = Node | string | null | undefined | false;

/** An element with attributes, listeners (`onclick: ...`) and children; text is always text, never markup. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value as EventListener);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

export function replace(parent: Element, ...children: Child[]): void {
  parent.replaceChildren(...children.filter((child): child is Node | string => Boolean(child)));
}

/** Paths in a box of 24 by 24, drawn as lines. */
const ICONS = {
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14m5 12 4.5 4.5",
  picture:
    "M4 6a2 2 0 0 1 2-2h12a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zM4 16l4.5-4.5 4 4L15 13l5 5M15.5 8.5h.01",
  close: "m6 6 12 12M18 6 6 18",
  up: "M7 11v9H4v-9zm0 0 4-7.5c1.5 0 2.3 1 2 2.5L12.3 9H18a2 2 0 0 1 2 2.4l-1.3 7A2 2 0 0 1 16.7 20H7",
  down: "M17 13V4h3v9zm0 0-4 7.5c-1.5 0-2.3-1-2-2.5l.7-3H6a2 2 0 0 1-2-2.4l1.3-7A2 2 0 0 1 7.3 4H17",
  box: "M5 5h14v14H5zM3 3h4v4H3zm14 0h4v4h-4zM3 17h4v4H3zm14 0h4v4h-4z",
  polygon: "m12 3 9 6.5-3.5 11h-11L3 9.5z",
  corners: "M7 6h10M6 7v10m1 1h10m1-1V7M4 4h4v4H4zm12 0h4v4h-4zM4 16h4v4H4zm12 0h4v4h-4z",
  file: "M6 3h8l4 4v14H6zM14 3v4h4M9 14l3-3 3 3m-3-3v6",
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  check: "M4 12.5 9.5 18 20 6.5",
  ruler: "M3 16 16 3l5 5L8 21zm4-4 2 2m1-5 2 2m1-5 2 2",
  layers: "m12 3 9 5-9 5-9-5zm-9 9.5 9 5 9-5M3 17l9 5 9-5",
  view: "M4 9V5a1 1 0 0 1 1-1h4m6 0h4a1 1 0 0 1 1 1v4m0 6v4a1 1 0 0 1-1 1h-4m-6 0H5a1 1 0 0 1-1-1v-4m8-6v6m-3-3h6",
  fit: "M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5",
  download: "M12 4v11m-4.5-4.5L12 15l4.5-4.5M4 19h16",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7L12 7m2 3a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7L12 17",
  pin: "M12 21s7-6.2 7-11.5A7 7 0 0 0 5 9.5C5 14.8 12 21 12 21m0-9a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5",
  alike: "M4 8h10v10H4zM10 8V5h10v10h-6",
  heat: "M12 3c1 4 6 5.5 6 11a6 6 0 0 1-12 0c0-2.5 1.5-3.5 2-5.5 1.5.5 2 1.5 2.3 2.5C11.5 9 12.5 6 12 3",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8m0-6v2m0 16v2M4.9 4.9l1.5 1.5m11.2 11.2 1.5 1.5M2 12h2m16 0h2M4.9 19.1l1.5-1.5M17.6 6.4l1.5-1.5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18m0 0v18m0-4h6.7M12 13h8.9M12 9h8.5M12 5h5.6",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M9.5 9.5c.2-1.5 1.2-2.3 2.5-2.3 1.5 0 2.6 1 2.6 2.3 0 2-2.6 2-2.6 4M12 16.8h.01",
  language: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M3.5 9.5h17m-17 5h17M12 3c-5.5 5-5.5 13 0 18 5.5-5 5.5-13 0-18",
  filter: "M4 6h16M7 12h10m-7 6h4",
  list: "M4 5h7v6H4zm9 0h7v6h-7zM4 13h7v6H4zm9 0h7v6h-7z",
  map: "m9 4-6 2.5V20l6-2.5 6 2.5 6-2.5V4l-6 2.5zm0 0v13.5m6-11V20",
  more: "m6 9 6 6 6-6",
  bookmark: "M6 4h12v17l-6-4.5L6 21z",
  save: "M5 4h11l3 3v13H5zm3 0v5h7V4M8 20v-6h8v6",
  brush: "m14 4 6 6-8 8H6v-6zm-3 3 6 6M3 21h9",
  undo: "M9 7 4 12l5 5M4 12h10a6 6 0 0 1 6 6",
} as const;

export type IconName = keyof typeof ICONS;

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button; without a visible label its name is for assistive technology and the tooltip. */
export function button(
  options: { icon?: IconName; label: string; iconOnly?: boolean; className?: string; title?: string },
  onclick: (event: MouseEvent) => void,
): HTMLButtonElement {
  return h(
    "button",
    {
      type: "button",
      class: `button ${options.iconOnly ? "icon-only " : ""}${options.className ?? ""}`.trim(),
      "aria-label": options.iconOnly ? options.label : null,
      title: options.title ?? (options.iconOnly ? options.label : null),
      onclick,
    },
    options.icon && icon(options.icon),
    !options.iconOnly && h("span", {}, options.label),
  );
}

export const reducesMotion = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;
/** Whether fingers are all there is: nothing can be dropped then. */
export const isTouched = (): boolean => matchMedia("(hover: none) and (pointer: coarse)").matches;
export const isNarrow = (): boolean => matchMedia("(max-width: 760px)").matches;
