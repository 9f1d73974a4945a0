// How sure the results are, as a histogram, and from where on they are shown.
import type { Card } from "./card";
import { h, replace } from "./dom";
import { texts } from "./language";
import { count, percent as sayPercent } from "./numbers";

const BINS = 20;

export interface Gauge {
  element: HTMLElement;
  /** `found` are all results, shown or not. */
  show: (found: Card[], least: number, threshold: number) => void;
}

/** The results that are shown: those of at least so many percent, and those of which nobody can say. */
export function atLeast(cards: Card[], least: number): Card[] {
  return least > 0 ? cards.filter((card) => card.relevance === null || percent(card.relevance) >= least) : cards;
}

const percent = (relevance: number): number => Math.round(relevance * 100);

export function createGauge(change: (least: number) => void): Gauge {
  const bars = h("div", { class: "bars", "aria-hidden": "true" });
  const label = h("span", { class: "gauge-label" });
  const slider = h("input", {
    type: "range",
    id: "least",
    min: 0,
    max: 100,
    step: 1,
    "aria-label": texts.gauge.label,
    oninput: () => change(slider.valueAsNumber),
  });
  const element = h("div", { class: "gauge", hidden: true }, bars, slider, label);
  return {
    element,
    show: (found, least, threshold) => {
      const known = found.flatMap((card) => (card.relevance === null ? [] : [card.relevance]));
      element.hidden = known.length < 2;
      const counts = Array.from({ length: BINS }, () => 0);
      for (const value of known) counts[Math.min(BINS - 1, Math.floor(value * BINS))]! += 1;
      const most = Math.max(...counts, 1);
      replace(
        bars,
        ...counts.map((count, i) => {
          const bar = h("span", {});
          bar.style.height = `${count ? 12 + (88 * count) / most : 0}%`;
          bar.classList.toggle("sure", (i + 0.5) / BINS >= threshold);
          bar.classList.toggle("out", (i + 1) / BINS <= least / 100);
          return bar;
        }),
      );
      const shown = atLeast(found, least).length;
      slider.value = String(least);
      const said = least ? texts.gauge.from(sayPercent(least / 100), shown, count(found.length)) : texts.gauge.any;
      slider.setAttribute("aria-valuetext", said);
      label.textContent = said;
    },
  };
}
