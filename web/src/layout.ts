// The frame of the page: bar, filters, results, map, details, and the switch between list and map on small screens.
import { button, h, icon } from "./dom";
import type { Drawing } from "./draw";
import { formatPosition } from "./format";
import { texts } from "./language";
import { isEmbedded, wholeAddress } from "./sharing";
import type { Position } from "./types";

export interface MapFrame {
  element: HTMLElement;
  canvas: HTMLElement;
  showDrawing: (kind: Drawing | null) => void;
  showArea: (limited: boolean) => void;
  showEditing: (on: boolean) => void;
  showMeasured: (text: string | null) => void;
  showPainting: (on: boolean) => void;
  showCursor: (at: Position) => void;
  showFailure: (text: string) => void;
}

export function createMapFrame(
  layers: HTMLElement,
  actions: {
    draw: (kind: Drawing) => void;
    useView: () => void;
    clearArea: () => void;
    corners: () => void;
    measure: () => void;
    paint: () => void;
    fit: () => void;
  },
): MapFrame {
  const canvas = h("div", { class: "map", id: "map" });
  const hint = h("p", { class: "map-hint", hidden: true });
  const tool = (kind: Drawing, label: string): HTMLButtonElement => {
    const element = button({ icon: kind, label, iconOnly: true }, () => actions.draw(kind));
    element.id = `draw-${kind}`;
    element.setAttribute("aria-pressed", "false");
    return element;
  };
  const tools = { box: tool("box", texts.map.box), polygon: tool("polygon", texts.map.outline) };
  const clear = button({ icon: "close", label: texts.map.anywhere }, actions.clearArea);
  clear.hidden = true;
  const corners = button({ icon: "corners", label: texts.map.corners, iconOnly: true }, actions.corners);
  corners.id = "move-corners";
  corners.setAttribute("aria-pressed", "false");
  corners.hidden = true;
  const measure = button({ icon: "ruler", label: texts.map.measure, iconOnly: true }, actions.measure);
  measure.id = "measure";
  measure.setAttribute("aria-pressed", "false");
  const paint = button({ icon: "brush", label: texts.paint.start, iconOnly: true }, actions.paint);
  paint.id = "paint";
  paint.setAttribute("aria-pressed", "false");
  paint.setAttribute("aria-keyshortcuts", "p");
  const measured = h("output", { class: "map-hint measured", hidden: true });
  const cursor = h("output", { class: "map-cursor", "aria-label": texts.map.cursor, "aria-live": "off" });
  const view = button({ icon: "view", label: texts.map.view, title: texts.map.view }, actions.useView);
  const element = h(
    "section",
    { class: "map-pane", id: "map-pane", "aria-label": texts.map.label },
    canvas,
    h(
      "div",
      { class: "map-tools", role: "group", "aria-label": texts.map.area },
      tools.box,
      tools.polygon,
      view,
      corners,
      clear,
      button({ icon: "fit", label: texts.map.fit, iconOnly: true }, actions.fit),
      measure,
      paint,
    ),
    layers,
    cursor,
    measured,
    hint,
  );
  return {
    element,
    canvas,
    showDrawing: (kind) => {
      hint.hidden = kind === null;
      hint.textContent = kind ? { box: texts.map.boxHint, polygon: texts.map.outlineHint }[kind] : "";
      for (const name of ["box", "polygon"] as const) tools[name].setAttribute("aria-pressed", String(kind === name));
    },
    showArea: (limited) => {
      clear.hidden = corners.hidden = !limited;
    },
    showEditing: (on) => {
      hint.hidden = !on;
      hint.textContent = on ? texts.map.cornersHint : "";
      corners.setAttribute("aria-pressed", String(on));
    },
    showMeasured: (text) => {
      measured.hidden = text === null;
      measured.textContent = text ?? "";
      measure.setAttribute("aria-pressed", String(text !== null));
    },
    showPainting: (on) => {
      paint.setAttribute("aria-pressed", String(on));
    },
    showCursor: (at) => {
      cursor.textContent = formatPosition(at);
    },
    showFailure: (text) => {
      for (const part of [".map-tools", ".map-layers", ".map-cursor"]) element.querySelector(part)?.remove();
      canvas.replaceChildren(h("p", { class: "map-failure" }, text));
    },
  };
}

export function createBar(
  query: HTMLElement,
  tools: HTMLElement[],
  choices: HTMLElement[],
  actions: { help: () => void; filters: () => void },
): {
  element: HTMLElement;
  name: HTMLElement;
  filters: HTMLButtonElement;
} {
  const name = h("span", { class: "index-name" });
  const filters = button(
    { icon: "filter", label: texts.bar.filters, iconOnly: true, className: "filters-toggle" },
    actions.filters,
  );
  filters.setAttribute("aria-controls", "filters");
  filters.setAttribute("aria-expanded", "false");
  const whole = h("a", { class: "brand", href: "./", title: texts.bar.whole, target: "_blank", rel: "noopener" });
  whole.addEventListener("pointerdown", () => whole.setAttribute("href", wholeAddress()));
  whole.addEventListener("focus", () => whole.setAttribute("href", wholeAddress()));
  const home = isEmbedded() ? whole : h("a", { class: "brand", href: "./", title: texts.bar.home });
  home.append(createMark(), h("span", {}, "rsitr"), name);
  const help = button({ icon: "help", label: texts.bar.help, iconOnly: true }, actions.help);
  return {
    element: h("header", { class: "bar" }, home, query, h("div", { class: "tools" }, filters, ...tools, help, ...choices)),
    name,
    filters,
  };
}

function createMark(): SVGSVGElement {
  const mark = icon("view");
  mark.setAttribute("class", "mark");
  mark
    .querySelector("path")
    ?.setAttribute("d", "M4 9V6a2 2 0 0 1 2-2h3m6 0h3a2 2 0 0 1 2 2v3m0 6v3a2 2 0 0 1-2 2h-3m-6 0H6a2 2 0 0 1-2-2v-3");
  const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  for (const [key, value] of [
    ["cx", "12"],
    ["cy", "12"],
    ["r", "3.4"],
  ] as const)
    dot.setAttribute(key, value);
  mark.append(dot);
  return mark;
}

/** On a small screen: either the list or the map. */
export function createSwitch(show: (pane: "list" | "map") => void): {
  element: HTMLElement;
  set: (pane: "list" | "map") => void;
} {
  const list = button({ icon: "list", label: texts.bar.list }, () => show("list"));
  const map = button({ icon: "map", label: texts.bar.map }, () => show("map"));
  return {
    element: h("nav", { class: "switch", "aria-label": texts.bar.listOrMap }, list, map),
    set: (pane) => {
      list.setAttribute("aria-pressed", String(pane === "list"));
      map.setAttribute("aria-pressed", String(pane === "map"));
    },
  };
}
