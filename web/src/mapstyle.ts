// How the map looks: its sources, its layers from the ground up, and their colours.
import type { StyleSpecification } from "maplibre-gl";

export const NOTHING = { type: "FeatureCollection" as const, features: [] };

export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Colours on imagery are the same in light and dark: imagery has no theme. */
export const ON_IMAGERY = {
  hit: "#ffc53d",
  hovered: "#ffffff",
  right: "#5ee08a",
  wrong: "#ff8f7d",
  area: "#6fd3ff",
  measure: "#ff9ff3",
  gathered: "#c9a7ff",
  casing: "#10181d",
};

export function makeStyle(): StyleSpecification {
  const flag = (name: string): ["boolean", ["feature-state", string], boolean] => [
    "boolean",
    ["feature-state", name],
    false,
  ];
  const raised = ["any", flag("hovered"), flag("selected")];
  return {
    version: 8,
    sources: {
      world: { type: "geojson", data: NOTHING },
      graticule: { type: "geojson", data: NOTHING },
      measure: { type: "geojson", data: NOTHING },
      scenes: { type: "geojson", data: NOTHING },
      dots: { type: "geojson", data: NOTHING },
      hits: { type: "geojson", data: NOTHING, promoteId: "key" },
      area: { type: "geojson", data: NOTHING },
      chosen: { type: "geojson", data: NOTHING },
      drawing: { type: "geojson", data: NOTHING },
      marked: { type: "geojson", data: NOTHING },
      gathered: { type: "geojson", data: NOTHING },
      stroke: { type: "geojson", data: NOTHING },
    },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": token("--map-ground") } },
      { id: "world", type: "fill", source: "world", paint: { "fill-color": token("--map-land") } },
      {
        id: "graticule",
        type: "line",
        source: "graticule",
        paint: { "line-color": token("--map-line"), "line-width": 0.7, "line-opacity": 0.7 },
      },
      {
        id: "scene-line",
        type: "line",
        source: "scenes",
        paint: { "line-color": token("--map-line"), "line-width": 1 },
      },
      {
        id: "scene-dot",
        type: "circle",
        source: "dots",
        maxzoom: 9,
        paint: {
          "circle-radius": 4,
          "circle-color": token("--map-dot"),
          "circle-stroke-color": token("--map-ground"),
          "circle-stroke-width": 1.5,
        },
      },
      { id: "area-fill", type: "fill", source: "area", paint: { "fill-color": ON_IMAGERY.area, "fill-opacity": 0.08 } },
      {
        id: "area-casing",
        type: "line",
        source: "area",
        paint: { "line-color": ON_IMAGERY.casing, "line-width": 4, "line-opacity": 0.6 },
      },
      {
        id: "area-line",
        type: "line",
        source: "area",
        paint: { "line-color": ON_IMAGERY.area, "line-width": 2, "line-dasharray": [3, 2] },
      },
      {
        id: "hit-fill",
        type: "fill",
        source: "hits",
        paint: {
          "fill-color": ON_IMAGERY.hit,
          "fill-opacity": ["case", flag("selected"), 0, flag("hovered"), 0.25, 0.06] as never,
        },
      },
      {
        id: "hit-casing",
        type: "line",
        source: "hits",
        paint: {
          "line-color": ON_IMAGERY.casing,
          "line-opacity": ["case", raised, 0.7, ["get", "faint"], 0.3, 0.7] as never,
          "line-width": ["case", raised, 6, ["get", "faint"], 3, 4] as never,
        },
      },
      {
        id: "hit-line",
        type: "line",
        source: "hits",
        paint: {
          "line-width": ["case", raised, 3.5, ["get", "faint"], 1.2, 2.5] as never,
          "line-opacity": ["case", raised, 1, ["get", "faint"], 0.6, 1] as never,
          "line-color": [
            "case",
            raised,
            ON_IMAGERY.hovered,
            ["==", ["feature-state", "mark"], "right"],
            ON_IMAGERY.right,
            ["==", ["feature-state", "mark"], "wrong"],
            ON_IMAGERY.wrong,
            ON_IMAGERY.hit,
          ] as never,
        },
      },
      {
        id: "marked-line",
        type: "line",
        source: "marked",
        paint: {
          "line-width": 2.5,
          "line-color": ["case", ["==", ["get", "mark"], "right"], ON_IMAGERY.right, ON_IMAGERY.wrong] as never,
        },
      },
      {
        id: "gathered-fill",
        type: "fill",
        source: "gathered",
        paint: { "fill-color": ON_IMAGERY.gathered, "fill-opacity": 0.35 },
      },
      {
        id: "gathered-line",
        type: "line",
        source: "gathered",
        paint: { "line-color": ON_IMAGERY.gathered, "line-width": 2.5 },
      },
      {
        id: "stroke",
        type: "line",
        source: "stroke",
        layout: { "line-cap": "round", "line-join": "round" },
        paint: { "line-color": ON_IMAGERY.gathered, "line-width": 24, "line-opacity": 0.4 },
      },
      {
        id: "chosen-casing",
        type: "line",
        source: "chosen",
        paint: { "line-color": ON_IMAGERY.casing, "line-width": 6, "line-opacity": 0.7 },
      },
      {
        id: "chosen-line",
        type: "line",
        source: "chosen",
        paint: { "line-color": ON_IMAGERY.hovered, "line-width": 3 },
      },
      {
        id: "measure-fill",
        type: "fill",
        source: "measure",
        paint: { "fill-color": ON_IMAGERY.measure, "fill-opacity": 0.12 },
      },
      {
        id: "measure-casing",
        type: "line",
        source: "measure",
        filter: ["==", ["geometry-type"], "LineString"],
        paint: { "line-color": ON_IMAGERY.casing, "line-width": 5, "line-opacity": 0.7 },
      },
      {
        id: "measure-line",
        type: "line",
        source: "measure",
        filter: ["==", ["geometry-type"], "LineString"],
        paint: { "line-color": ON_IMAGERY.measure, "line-width": 2.5 },
      },
      {
        id: "measure-point",
        type: "circle",
        source: "measure",
        filter: ["==", ["geometry-type"], "Point"],
        paint: {
          "circle-radius": 4,
          "circle-color": ON_IMAGERY.measure,
          "circle-stroke-color": ON_IMAGERY.casing,
          "circle-stroke-width": 1.5,
        },
      },
      {
        id: "drawing-casing",
        type: "line",
        source: "drawing",
        paint: { "line-color": ON_IMAGERY.casing, "line-width": 4, "line-opacity": 0.6 },
      },
      {
        id: "drawing-line",
        type: "line",
        source: "drawing",
        paint: { "line-color": ON_IMAGERY.area, "line-width": 2 },
      },
    ],
  };
}
