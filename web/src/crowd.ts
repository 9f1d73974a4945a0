// Pins that would lie on each other: the better keep their numbers, the others are dots until there is room.
import type { Map as MapLibre, Marker } from "maplibre-gl";

const CELL_PX = 26;

/** Marks the pins, best first, that have no room. */
export function thin(map: MapLibre, markers: Iterable<Marker>): void {
  const taken = new Map<string, { x: number; y: number }[]>();
  for (const marker of markers) {
    const { x, y } = map.project(marker.getLngLat());
    const [column, row] = [Math.floor(x / CELL_PX), Math.floor(y / CELL_PX)];
    let crowded = false;
    for (let i = -1; i <= 1 && !crowded; i += 1) {
      for (let j = -1; j <= 1 && !crowded; j += 1) {
        const near = taken.get(`${column + i} ${row + j}`) ?? [];
        crowded = near.some((other) => Math.abs(other.x - x) < CELL_PX && Math.abs(other.y - y) < CELL_PX);
      }
    }
    marker.getElement().classList.toggle("crowded", crowded);
    if (crowded) continue;
    const cell = `${column} ${row}`;
    taken.set(cell, [...(taken.get(cell) ?? []), { x, y }]);
  }
}
