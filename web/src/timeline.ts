// When a place was seen: an axis true to time, and the pictures in order below it.
import { picturePath, resolve, showPicture } from "./api";
import { h } from "./dom";
import { formatDay, formatRelevance } from "./format";
import type { Sighting } from "./types";

const DAY_MS = 86_400_000;

/** The time line of a place; nothing for a place that was seen once. */
export function drawTimeline(
  sightings: Sighting[],
  shownTile: string,
  show: (sighting: Sighting) => void,
): HTMLElement | null {
  if (sightings.length < 2) return null;
  const days = new Set(sightings.map((sighting) => sighting.date).filter(Boolean)).size;
  const dated = sightings.filter((sighting) => sighting.date);
  const times = dated.map((sighting) => Date.parse(`${sighting.date}T00:00:00Z`));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const axis = h("div", { class: "axis", "aria-hidden": "true" });
  if (last - first >= DAY_MS) {
    for (const [i, time] of times.entries()) {
      const dot = h("span", { class: "dot" });
      dot.style.left = `${(100 * (time - first)) / (last - first)}%`;
      dot.classList.toggle("shown", dated[i]?.best_tile === shownTile);
      axis.append(dot);
    }
  }
  const strip = h(
    "ol",
    { class: "sightings" },
    ...sightings.map((sighting) => {
      const image = h("img", { alt: "", width: 96, height: 96 });
      void showPicture(image, resolve(`${picturePath(sighting.best_tile)}?size=96`));
      const relevance = formatRelevance(sighting.relevance);
      return h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: "sighting",
            "aria-pressed": String(sighting.best_tile === shownTile),
            onclick: () => show(sighting),
          },
          image,
          h("span", { class: "when" }, formatDay(sighting.date)),
          h("span", { class: "number" }, relevance || sighting.score.toFixed(3)),
        ),
      );
    }),
  );
  return h(
    "section",
    { class: "timeline" },
    h("h3", {}, days > 1 ? `Seen on ${days} days` : `Seen in ${sightings.length} scenes`),
    axis.childElementCount ? axis : null,
    strip,
  );
}
