// Another scene over part of the map: right of a border that is dragged, and as opaque as wanted.
import type { GeoJSONSource, Map as MapLibre, MapOptions } from "maplibre-gl";
import { Map as OtherMap } from "maplibre-gl";
import { h } from "./dom";
import { NOTHING, ON_IMAGERY, token } from "./mapstyle";
import { Scenery } from "./scenery";
import type { Geometry, Scene } from "./types";

export interface Compared {
  scene: Scene;
  geometry: Geometry | null;
  /** Percent of the width where the other scene begins, and of its opacity. */
  split: number;
  fade: number;
}

export class Compare {
  #other: MapLibre | null = null;
  #scenery: Scenery | null = null;
  #shown = "";
  readonly #frame = h("div", { class: "compared" }, h("div", { class: "compared-map" }));
  readonly #border = h("div", { class: "border", "aria-hidden": "true" }, h("span", {}));

  constructor(
    readonly map: MapLibre,
    readonly options: Pick<MapOptions, "transformRequest" | "maxZoom">,
    readonly moved: (percent: number) => void,
  ) {
    map.on("move", () => this.#follow());
    map.on("resize", () => this.#other?.resize());
    this.#border.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      event.stopPropagation();
      this.#border.setPointerCapture(event.pointerId);
    });
    this.#border.addEventListener("pointermove", (event) => {
      if (!this.#border.hasPointerCapture(event.pointerId)) return;
      const { left, width } = map.getContainer().getBoundingClientRect();
      this.moved(Math.round(Math.min(100, Math.max(0, (100 * (event.clientX - left)) / width))));
    });
  }

  /** Shows another scene; null takes it away. */
  show(compared: Compared | null): void {
    if (!compared) {
      this.#other?.remove();
      this.#other = this.#scenery = null;
      this.#shown = "";
      this.#frame.remove();
      this.#border.remove();
      return;
    }
    this.#start();
    this.#frame.style.clipPath = `inset(0 0 0 ${compared.split}%)`;
    this.#frame.style.opacity = String(compared.fade / 100);
    this.#border.style.left = `${compared.split}%`;
    if (this.#shown === compared.scene.id) return;
    this.#shown = compared.scene.id;
    const other = this.#other!;
    const draw = (): void => {
      this.#scenery?.set([compared.scene]);
      const { geometry } = compared;
      const outline = geometry ? { type: "Feature" as const, properties: {}, geometry } : NOTHING;
      other.getSource<GeoJSONSource>("chosen")?.setData(outline);
    };
    if (this.#scenery) draw();
    else {
      other.once("load", () => {
        this.#scenery = new Scenery(other, "chosen-line");
        draw();
      });
    }
  }

  #start(): void {
    if (this.#other) return;
    this.map.getCanvas().after(this.#frame); // above the scenes, below the pins
    this.map.getContainer().append(this.#border);
    this.#other = new OtherMap({
      ...this.options,
      container: this.#frame.firstElementChild as HTMLElement,
      style: {
        version: 8,
        sources: { chosen: { type: "geojson", data: NOTHING } },
        layers: [
          { id: "ground", type: "background", paint: { "background-color": token("--map-ground") } },
          {
            id: "chosen-line",
            type: "line",
            source: "chosen",
            paint: { "line-color": ON_IMAGERY.hovered, "line-width": 3 },
          },
        ],
      },
      center: this.map.getCenter(),
      zoom: this.map.getZoom(),
      interactive: false,
      attributionControl: false,
      fadeDuration: 0,
    });
    this.#other.getCanvas().setAttribute("aria-hidden", "true");
    this.#other.getCanvas().tabIndex = -1;
    this.#other.on("error", () => undefined);
  }

  #follow(): void {
    this.#other?.jumpTo({ center: this.map.getCenter(), zoom: this.map.getZoom() });
  }
}
