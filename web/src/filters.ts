// The row of filters: area, days, sensor, words to leave out, detector.
import { button, h, icon, replace } from "./dom";
import { formatBox } from "./format";
import { texts } from "./language";
import type { Question } from "./state";
import { isBox, isFiltered } from "./state";
import type { BBox, Detector, Geometry, IndexInfo } from "./types";

export interface Filters {
  element: HTMLElement;
  update: (question: Question) => void;
  offer: (info: IndexInfo, detectors: Detector[]) => void;
  closeArea: () => boolean;
}

interface Actions {
  change: (filters: Partial<Question>) => void;
  draw: (kind: "box" | "polygon") => void;
  useView: () => void;
  bringArea: (files: FileList) => void;
}

const SIDES = ["west", "south", "east", "north"] as const;

export function createFilters(actions: Actions): Filters {
  const area = createArea(actions);
  const day = (name: "since" | "until", label: string): HTMLInputElement =>
    h("input", {
      type: "date",
      id: name,
      "aria-label": label,
      onchange: (event: Event) => actions.change({ [name]: (event.target as HTMLInputElement).value }),
    });
  const since = day("since", texts.filters.since);
  const until = day("until", texts.filters.until);
  const sensor = h("select", {
    id: "sensor",
    "aria-label": texts.filters.sensor,
    onchange: () => actions.change({ sensor: sensor.value }),
  });
  const detector = h("select", {
    id: "detector",
    "aria-label": texts.filters.detector,
    hidden: true,
    onchange: () => actions.change({ detector: detector.value }),
  });
  const without = h("input", {
    type: "text",
    id: "without",
    placeholder: texts.filters.withoutHint,
    autocomplete: "off",
    maxlength: 300,
    "aria-label": texts.filters.withoutLabel,
    onchange: () =>
      actions.change({
        not: without.value
          .split(/[,，、]/)
          .map((word) => word.trim())
          .filter(Boolean),
      }),
  });
  const clear = button({ icon: "close", label: texts.filters.clear }, () =>
    actions.change({ bbox: null, area: null, since: "", until: "", sensor: "", not: [], detector: "" }),
  );
  clear.classList.add("quiet");
  clear.hidden = true;
  const field = (label: string, ...children: Node[]): HTMLElement =>
    h("div", { class: "field" }, h("span", { class: "field-label", "aria-hidden": "true" }, label), ...children);
  const detectorField = field(texts.filters.detector, detector);
  detectorField.hidden = true;
  const panel = h(
    "div",
    { class: "filters", id: "filters", role: "group", "aria-label": texts.filters.label },
    area.element,
    field(texts.filters.from, since),
    field(texts.filters.to, until),
    field(texts.filters.sensor, sensor),
    field(texts.filters.without, without),
    detectorField,
    clear,
  );

  const choose = (select: HTMLSelectElement, value: string): void => {
    if (value && ![...select.options].some((option) => option.value === value)) {
      select.append(h("option", { value }, value));
    }
    select.value = value;
  };
  const fill = (select: HTMLSelectElement, any: string, values: string[]): void => {
    const chosen = select.value;
    replace(select, h("option", { value: "" }, any), ...values.map((value) => h("option", { value }, value)));
    choose(select, chosen);
  };
  fill(sensor, texts.filters.any, []);
  fill(detector, texts.filters.none, []);

  return {
    element: panel,
    closeArea: area.close,
    offer: (info, detectors) => {
      fill(sensor, texts.filters.any, info.sensors);
      fill(
        detector,
        texts.filters.none,
        detectors.map((known) => known.name),
      );
      detector.hidden = detectorField.hidden = detectors.length === 0 && !detector.value;
      for (const input of [since, until]) {
        input.min = info.since ?? "";
        input.max = info.until ?? "";
      }
    },
    update: (question) => {
      since.value = question.since;
      until.value = question.until;
      choose(sensor, question.sensor);
      choose(detector, question.detector);
      if (question.detector) detector.hidden = detectorField.hidden = false;
      without.value = question.not.join(", ");
      area.update(question);
      clear.hidden = !isFiltered(question) && !question.not.length && !question.detector;
      for (const [input, set] of [
        [since, question.since],
        [until, question.until],
        [sensor, question.sensor],
        [without, question.not.length],
        [detector, question.detector],
      ] as const) {
        input.parentElement?.classList.toggle("set", Boolean(set));
      }
    },
  };
}

function nameArea(area: Geometry): string {
  return area.type === "Polygon" ? texts.filters.drawn : texts.filters.outlines(area.coordinates.length);
}

function createArea(actions: Actions): { element: HTMLElement; update: (q: Question) => void; close: () => boolean } {
  const label = h("span", {}, texts.filters.anywhere);
  const opener = h(
    "button",
    {
      type: "button",
      class: "button",
      id: "area",
      "aria-expanded": "false",
      "aria-controls": "area-panel",
      onclick: toggle,
    },
    icon("pin"),
    label,
    icon("more"),
  );
  const sides = SIDES.map((side) =>
    h("input", { type: "number", step: "any", id: `area-${side}`, required: true, inputmode: "decimal" }),
  );
  const problem = h("p", { class: "problem", role: "alert" });
  const apply = (event: Event): void => {
    event.preventDefault();
    const box = sides.map((input) => input.valueAsNumber);
    if (!isBox(box)) {
      problem.textContent = texts.filters.noBox;
      return;
    }
    close();
    actions.change({ bbox: box as BBox, area: null });
  };
  const act = (action: () => void) => (): void => {
    close();
    action();
  };
  const file = h("input", {
    type: "file",
    id: "area-file",
    accept: ".geojson,.json,.kml,.gpx,.gpkg,.wkt,.txt",
    class: "hidden-input",
    tabindex: -1,
    "aria-label": texts.filters.fileLabel,
    onchange: () => {
      if (file.files?.length) actions.bringArea(file.files);
      file.value = "";
    },
  });
  const anywhere = button(
    { icon: "close", label: texts.filters.anywhere },
    act(() => actions.change({ bbox: null, area: null })),
  );
  const panel = h(
    "div",
    { id: "area-panel", class: "popover", hidden: true },
    h(
      "div",
      { class: "stack" },
      button(
        { icon: "box", label: texts.filters.drawBox },
        act(() => actions.draw("box")),
      ),
      button(
        { icon: "polygon", label: texts.filters.drawOutline },
        act(() => actions.draw("polygon")),
      ),
      button({ icon: "view", label: texts.filters.view }, act(actions.useView)),
      button(
        { icon: "file", label: texts.filters.file, title: texts.filters.fileHint },
        act(() => file.click()),
      ),
      file,
      anywhere,
    ),
    h(
      "form",
      { class: "coordinates", onsubmit: apply, novalidate: true },
      h("p", { class: "hint-text" }, texts.filters.degrees),
      ...sides.map((input, i) => h("label", {}, texts.filters.sides[SIDES[i]!], input)),
      problem,
      h("button", { type: "submit", class: "button primary" }, texts.filters.apply),
    ),
  );

  function toggle(): void {
    panel.hidden = !panel.hidden;
    opener.setAttribute("aria-expanded", String(!panel.hidden));
    problem.textContent = "";
    if (!panel.hidden) panel.querySelector("button")?.focus();
  }
  function close(): boolean {
    if (panel.hidden) return false;
    toggle();
    opener.focus();
    return true;
  }
  document.addEventListener("pointerdown", (event) => {
    if (!panel.hidden && !element.contains(event.target as Node)) toggle();
  });
  const element = h("div", { class: "area" }, opener, panel);
  return {
    element,
    close,
    update: ({ bbox, area }) => {
      label.textContent = bbox ? texts.filters.box(formatBox(bbox)) : area ? nameArea(area) : texts.filters.anywhere;
      opener.classList.toggle("set", Boolean(bbox || area));
      anywhere.hidden = !bbox && !area;
      for (const [i, input] of sides.entries()) input.value = bbox ? String(bbox[i]) : "";
    },
  };
}
