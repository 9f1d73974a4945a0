// What is drawn on the map: the scenes one by one, and what lies under them.
import { button, h, replace } from "./dom";
import { formatDay, shortName } from "./format";
import { texts } from "./language";
import type { Background, View } from "./state";
import type { IndexInfo, Scene } from "./types";

type Drawn = Pick<View, "background" | "heat" | "off" | "opacity">;

export interface Layers {
  element: HTMLElement;
  show: (info: IndexInfo | null, scenes: Scene[], drawn: Drawn) => void;
  close: () => boolean;
}

const MOST = 200;
const MANY = 8;

export function createLayers(actions: { change: (drawn: Partial<Drawn>) => void; locate: (scene: Scene) => void }): Layers {
  let [scenes, drawn]: [Scene[], Drawn] = [[], { background: "", heat: false, off: [], opacity: {} }];
  const background = h("select", {
    id: "background",
    onchange: () => actions.change({ background: background.value as Background }),
  });
  const heat = h("input", { type: "checkbox", id: "heat", onchange: () => actions.change({ heat: heat.checked }) });
  const search = h("input", {
    type: "text",
    id: "scene-name",
    placeholder: texts.layers.search,
    autocomplete: "off",
    "aria-label": texts.layers.searchLabel,
    oninput: () => draw(),
  });
  const list = h("ul", { class: "layer-list", "aria-label": texts.layers.list });
  const note = h("p", { class: "note" });
  const setAll = (off: boolean): void => {
    const named = new Set(matching().map((scene) => scene.id));
    const others = drawn.off.filter((id) => !named.has(id));
    actions.change({ off: off ? [...others, ...named] : others });
  };
  const panel = h(
    "div",
    { class: "popover layers-panel", id: "layers-panel", role: "group", "aria-label": texts.layers.label, hidden: true },
    h("label", { class: "field" }, h("span", { class: "field-label" }, texts.layers.under), background),
    h("label", { class: "check" }, heat, h("span", {}, texts.layers.heat)),
    h(
      "div",
      { class: "row" },
      search,
      h("span", { class: "spring" }),
      button({ label: texts.layers.showAll, className: "quiet" }, () => setAll(false)),
      button({ label: texts.layers.hideAll, className: "quiet" }, () => setAll(true)),
    ),
    list,
    note,
  );
  const opener = button({ icon: "layers", label: texts.layers.label, iconOnly: true }, () => toggle());
  opener.id = "layers";
  opener.setAttribute("aria-expanded", "false");
  opener.setAttribute("aria-controls", "layers-panel");

  function toggle(): void {
    panel.hidden = !panel.hidden;
    opener.setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden) draw();
  }

  function matching(): Scene[] {
    const wanted = search.value.trim().toLowerCase();
    return scenes.filter((scene) => `${scene.scene} ${scene.date ?? ""} ${formatDay(scene.date)}`.toLowerCase().includes(wanted));
  }

  function drawRow(scene: Scene): HTMLElement {
    const name = shortName(scene.scene);
    const box = h("input", {
      type: "checkbox",
      id: `layer-${scene.id}`,
      onchange: () =>
        actions.change({ off: box.checked ? drawn.off.filter((id) => id !== scene.id) : [...drawn.off, scene.id] }),
    });
    box.checked = !drawn.off.includes(scene.id);
    const opacity = h("input", {
      type: "range",
      min: 0,
      max: 100,
      step: 5,
      value: drawn.opacity[scene.id] ?? 100,
      "aria-label": texts.layers.opacity(name),
      oninput: () => {
        const { [scene.id]: _, ...others } = drawn.opacity;
        const percent = opacity.valueAsNumber;
        actions.change({ opacity: percent < 100 ? { ...others, [scene.id]: percent } : others });
      },
    });
    return h(
      "li",
      { class: "layer", "data-scene": scene.id },
      h(
        "label",
        { title: scene.scene },
        box,
        h("span", { class: "what" }, name),
        h("span", { class: "when" }, formatDay(scene.date)),
      ),
      opacity,
      button({ icon: "pin", label: texts.layers.locate(name), iconOnly: true }, () => actions.locate(scene)),
    );
  }

  function draw(): void {
    const named = matching();
    search.hidden = scenes.length <= MANY;
    replace(list, ...named.slice(0, MOST).map(drawRow));
    note.textContent = named.length > MOST ? texts.start.more(named.length - MOST) : "";
    note.hidden = !note.textContent;
  }

  return {
    element: h("div", { class: "map-layers" }, opener, panel),
    close: () => {
      if (panel.hidden) return false;
      toggle();
      opener.focus();
      return true;
    },
    show: (info, all, now) => {
      const placed = all.filter((scene) => scene.corners);
      const isNew = placed.length !== scenes.length || placed.some((scene, i) => scene.id !== scenes[i]?.id);
      scenes = placed.sort((a, b) => (b.date ?? "").localeCompare(a.date ?? "") || a.scene.localeCompare(b.scene));
      const redraw = isNew || now.off.join() !== drawn.off.join();
      drawn = now;
      const kinds = (["none", "graticule", ...(info?.background ? ["tiles"] : [])] as const) as Exclude<Background, "">[];
      replace(
        background,
        ...kinds.map((kind) => h("option", { value: kind }, (kind === "tiles" && info?.background?.credit) || texts.layers.grounds[kind])),
      );
      heat.checked = now.heat;
      background.value = now.background || (info?.background ? "tiles" : "none");
      if (panel.hidden || !redraw) return;
      const focused = document.activeElement?.id;
      draw();
      if (focused?.startsWith("layer-")) document.getElementById(focused)?.focus();
    },
  };
}
