// How well everything in view fits what was asked: every tile in its colour, or hexagons of many where they are small.
import type { GeoJSONSource, Map as MapLibre } from "maplibre-gl";
import { getHeat } from "./api";
import { h, replace } from "./dom";
import { texts } from "./language";
import { NOTHING } from "./mapstyle";
import { count, percent } from "./numbers";
import type { Said } from "./said";
import { sayError } from "./said";
import type { BBox, Heat, SearchBody } from "./types";

const PAUSE_MS = 150;
const SOURCE = "heat";
/** From what does not fit to what does; as on imagery everywhere, the same in light and dark. */
const RAMP: [number, string][] = [
  [0, "rgba(38, 44, 128, 0.22)"],
  [0.25, "rgba(126, 32, 160, 0.4)"],
  [0.5, "rgba(214, 58, 110, 0.55)"],
  [0.75, "rgba(250, 140, 60, 0.68)"],
  [1, "rgba(255, 232, 74, 0.78)"],
];

export class HeatLayer {
  #body: SearchBody | null = null;
  #abort: AbortController | null = null;
  #timer = 0;
  readonly #legend = h("div", { class: "heat-legend", hidden: true });

  constructor(
    readonly map: MapLibre,
    readonly options: { above: string; bounds: () => BBox; failed: (text: Said) => void },
  ) {
    map.getContainer().append(this.#legend);
    map.on("moveend", () => this.#body && this.#plan());
  }

  /** Colours the map by a search; null takes the colours away. */
  show(body: SearchBody | null): void {
    if (body && this.#body && JSON.stringify(body) === JSON.stringify(this.#body)) return;
    this.#body = body;
    if (body) this.#plan();
    else this.#stop();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.map.getSource<GeoJSONSource>(SOURCE)?.setData(NOTHING);
    this.#legend.hidden = true;
    this.map.getContainer().removeAttribute("data-heat");
  }

  #plan(): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#load(), PAUSE_MS);
  }

  async #load(): Promise<void> {
    const body = this.#body;
    if (!body) return;
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    try {
      const heat = await getHeat(body, this.options.bounds(), Math.max(0, this.map.getZoom()), abort.signal);
      if (!abort.signal.aborted) this.#draw(heat);
    } catch (error) {
      if (abort.signal.aborted) return;
      this.#stop();
      this.options.failed(sayError(error, texts.layers.uncoloured));
    }
  }

  #draw(heat: Heat): void {
    if (!this.map.getSource(SOURCE)) {
      this.map.addSource(SOURCE, { type: "geojson", data: NOTHING });
      const colour = ["interpolate", ["linear"], ["get", "fits"], ...RAMP.flat()];
      const paint = { "fill-color": colour as never, "fill-antialias": false };
      this.map.addLayer({ id: SOURCE, type: "fill", source: SOURCE, paint }, this.options.above);
    }
    const scores = heat.cells.map((cell) => cell.score);
    const [low, high] = [Math.min(...scores), Math.max(...scores)];
    const isJudged = heat.cells.some((cell) => cell.relevance !== null);
    const fitOf = (cell: Heat["cells"][number]): number =>
      isJudged ? (cell.relevance ?? 0) : high > low ? (cell.score - low) / (high - low) : 1;
    this.map.getSource<GeoJSONSource>(SOURCE)?.setData({
      type: "FeatureCollection",
      features: heat.cells.map((cell) => ({
        type: "Feature",
        properties: { fits: fitOf(cell) },
        geometry: { type: "Polygon", coordinates: [cell.ring] },
      })),
    });
    this.#explain(heat, isJudged);
    const container = this.map.getContainer();
    container.dataset.heat = `${heat.cells.length}`;
  }

  #explain(heat: Heat, isJudged: boolean): void {
    const ramp = h("span", { class: "ramp", "aria-hidden": "true" });
    ramp.style.background = `linear-gradient(to right, ${RAMP.map(([at, colour]) => `${colour} ${100 * at}%`).join(", ")})`;
    const [low, high] = isJudged ? [percent(0), percent(1)] : [texts.layers.least, texts.layers.most];
    const shown =
      heat.n_shown < heat.n_tiles
        ? texts.layers.bestInView(count(heat.n_shown), heat.n_tiles)
        : texts.layers.inView(heat.n_tiles);
    const joined = heat.joined ? `${texts.comma}${texts.layers.joined}` : "";
    replace(this.#legend, h("div", { class: "row" }, low, ramp, high), h("p", { class: "note" }, `${shown}${joined}`));
    this.#legend.hidden = false;
  }
}
