// The same ground through the days: an axis true to time, the pictures in order below it, and one day against another.
import { showPicture, withQuery } from "./api";
import { button, h } from "./dom";
import { formatDay, shortName } from "./format";
import { texts } from "./language";
import type { Comparison } from "./state";
import type { Sight } from "./types";

const DAY_MS = 86_400_000;
const PICTURE_PX = 96;

export interface Days {
  sights: Sight[];
  /** The scene that is shown, by its id. */
  shown: string;
  comparison: Comparison;
  /** Whether one day after the other is shown by itself. */
  playing: boolean;
}

interface Actions {
  show: (scene: string) => void;
  compare: (comparison: Partial<Comparison>) => void;
  play: (on: boolean) => void;
}

/** What names a day among others: its date, and its scene where others have the same. */
export function nameSight(sight: Sight, all: Sight[]): string {
  const alone = all.filter((other) => other.date === sight.date).length === 1;
  return alone && sight.date ? formatDay(sight.date) : `${formatDay(sight.date)}${texts.comma}${shortName(sight.scene)}`;
}

/** The time line of some ground; nothing where one scene alone shows it. */
export function drawTimeline(
  { sights, shown, comparison, playing }: Days,
  saidOf: (sight: Sight) => string,
  actions: Actions,
): HTMLElement | null {
  if (sights.length < 2) return null;
  const days = new Set(sights.map((sight) => sight.date).filter(Boolean)).size;
  const strip = h(
    "ol",
    { class: "sightings" },
    ...sights.map((sight) => {
      const image = h("img", { alt: "", width: PICTURE_PX, height: PICTURE_PX, loading: "lazy" });
      void showPicture(image, withQuery(sight.picture, { size: PICTURE_PX }));
      return h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: "sighting",
            title: sight.scene,
            "data-scene": sight.scene_id,
            "aria-pressed": String(sight.scene_id === shown),
            onclick: () => actions.show(sight.scene_id),
          },
          image,
          h("span", { class: "when" }, formatDay(sight.date)),
          h("span", { class: "number" }, saidOf(sight)),
        ),
      );
    }),
  );
  return h(
    "section",
    { class: "timeline" },
    h(
      "div",
      { class: "row" },
      h("h3", {}, days > 1 ? texts.days.seenOn(days) : texts.days.seenIn(sights.length)),
      h("span", { class: "spring" }),
      drawPlay(playing, actions),
    ),
    drawAxis(sights, shown),
    strip,
    drawComparison(sights, shown, comparison, actions),
  );
}

function drawPlay(playing: boolean, actions: Actions): HTMLElement {
  const label = playing ? texts.days.stop : texts.days.play;
  const play = button({ icon: playing ? "pause" : "play", label, iconOnly: true, className: "quiet" }, () => actions.play(!playing));
  play.id = "play";
  play.setAttribute("aria-pressed", String(playing));
  return play;
}

function drawAxis(sights: Sight[], shown: string): HTMLElement | null {
  const dated = sights.filter((sight) => sight.date);
  const times = dated.map((sight) => Date.parse(`${sight.date}T00:00:00Z`));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  if (!(last - first >= DAY_MS)) return null;
  const axis = h("div", { class: "axis", "aria-hidden": "true" });
  for (const [i, time] of times.entries()) {
    const dot = h("span", { class: "dot" });
    dot.style.left = `${(100 * (time - first)) / (last - first)}%`;
    dot.classList.toggle("shown", dated[i]?.scene_id === shown);
    axis.append(dot);
  }
  return axis;
}

function drawComparison(sights: Sight[], shown: string, now: Comparison, actions: Actions): HTMLElement {
  const others = sights.filter((sight) => sight.scene_id !== shown);
  const other = h(
    "select",
    { id: "against", onchange: () => actions.compare({ against: other.value }) },
    h("option", { value: "" }, texts.days.nothing),
    ...others.map((sight) => h("option", { value: sight.scene_id }, nameSight(sight, sights))),
  );
  other.value = others.some((sight) => sight.scene_id === now.against) ? now.against : "";
  const slider = (id: "split" | "fade", label: string): HTMLElement => {
    const input = h("input", {
      type: "range",
      id,
      min: 0,
      max: 100,
      value: now[id],
      oninput: () => actions.compare({ [id]: input.valueAsNumber }),
    });
    return h("label", { class: "slider" }, label, input);
  };
  return h(
    "div",
    { class: "comparison" },
    h("label", { class: "field" }, h("span", { class: "field-label" }, texts.days.compare), other),
    other.value !== "" && slider("split", texts.days.border),
    other.value !== "" && slider("fade", texts.days.opacity),
  );
}
