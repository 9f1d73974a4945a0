"""Where things stand: a scene is a grid of plots with a coast on one side and a river that runs to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from rsitr.demo.drawing import nature, sport, town, transport
from rsitr.demo.drawing.plot import Mark, Plot, Roads

__all__ = ["DRAWERS", "UNIT_PX", "Layout", "Site", "plan_layout"]

UNIT_PX = 256
"""Side of a unit of the grid, and of the demo's tiles: a tile shows one thing, as captioned pictures do."""

BLOCK = 2
"""Units per side of an ordinary plot."""

DRAWERS: dict[str, Callable[[Plot], list[Mark]]] = {
    "open sea": nature.draw_beach,
    "beach": nature.draw_beach,
    "harbour with boats": transport.draw_harbour,
    "river": nature.draw_river,
    "river mouth": nature.draw_mouth,
    "river with a bridge": nature.draw_bridge,
    "dense forest": nature.draw_forest,
    "farmland": nature.draw_farmland,
    "desert dunes": nature.draw_dunes,
    "park with a pond": nature.draw_park,
    "dense residential area": town.draw_dense_homes,
    "medium residential area": town.draw_medium_homes,
    "industrial area": town.draw_industry,
    "storage tanks": town.draw_tanks,
    "parking lot": town.draw_parking,
    "runways": transport.draw_runway,
    "airport apron with aeroplanes": transport.draw_apron,
    "sports fields": sport.draw_playground,
    "tennis courts": sport.draw_tennis,
    "baseball fields": sport.draw_baseball,
}
"""What can be drawn on a plot: label -> drawing. The labels are the ground truth."""

# What fills the plots that the coast, the river and the airport leave, most important first.
_FILLING = (
    "dense forest", "farmland", "storage tanks", "baseball fields", "dense residential area", "parking lot",
    "sports fields", "industrial area", "tennis courts", "medium residential area", "desert dunes", "park with a pond",
    "farmland", "dense forest", "dense residential area", "industrial area", "medium residential area", "farmland",
    "dense forest", "parking lot", "desert dunes", "farmland", "dense forest",
)  # fmt: skip
_RIVERSIDE = ("farmland", "dense forest", "farmland", "medium residential area")
_TOWN = {
    "dense residential area", "medium residential area", "sports fields", "tennis courts", "baseball fields",
    "parking lot", "park with a pond",
}  # fmt: skip
_COUNTRY = {"dense forest", "farmland", "desert dunes"}
_WILD = {"dense forest", "desert dunes"}
_WATER = {"open sea", "beach", "harbour with boats", "river", "river mouth", "river with a bridge"}


@dataclass(frozen=True)
class Site:
    """A plot of the plan: units from (column, row), `columns` x `rows` of them, and what is drawn there."""

    label: str
    column: int
    row: int
    columns: int = BLOCK
    rows: int = BLOCK

    @property
    def window_px(self) -> tuple[int, int, int, int]:
        """(column, row, width, height) in the scene's pixels."""
        return self.column * UNIT_PX, self.row * UNIT_PX, self.columns * UNIT_PX, self.rows * UNIT_PX


@dataclass(frozen=True)
class Layout:
    """The plan of a scene of `units` x `units`.

    Attributes:
        units: units per side, an even number.
        sites: plots, which fill the grid without overlap.
        quarter_turns: how often the plan was turned counter-clockwise: the coast lies left (0), bottom (1), right (2)
            or top (3).
        river_row: row of the river before turning, in units; None in a scene too small for one.
    """

    units: int
    sites: tuple[Site, ...]
    quarter_turns: int
    river_row: int | None

    def roads(self, site: Site) -> Roads:
        """Roads run along the sides of a plot on land: not through a forest or dunes, nor along the scene's edge."""
        if site.label in _WATER:
            return Roads()
        site_at = {
            (other.column + i, other.row + j): other
            for other in self.sites
            for i in range(other.columns)
            for j in range(other.rows)
        }

        barred = {"beach", site.label} if site.label in _WILD else {"beach"}

        def wanted(cells: Iterable[tuple[int, int]]) -> bool:
            others = [site_at.get(cell) for cell in cells]
            return all(other is not None and other.label not in barred for other in others)

        rows = range(site.row, site.row + site.rows)
        columns = range(site.column, site.column + site.columns)
        return Roads(
            left=wanted((site.column - 1, row) for row in rows),
            right=wanted((site.column + site.columns, row) for row in rows),
            top=wanted((column, site.row - 1) for column in columns),
            bottom=wanted((column, site.row + site.rows) for column in columns),
        )


def plan_layout(rng: np.random.Generator, *, units: int) -> Layout:
    """Draw lots for a plan of `units` x `units` (an even number, 2 or more).

    From eight units a side there is a coast with a harbour and a river with a bridge; from ten, an airport.
    """
    taken: list[Site] = []
    river_row = None
    if units >= 8:
        river_band = int(rng.integers(1, units // BLOCK - 1)) * BLOCK
        river_row = river_band + int(rng.integers(BLOCK))
        taken += _plan_river(rng, units=units, band=river_band, river_row=river_row)
        taken += _plan_coast(rng, units=units, band=river_band)
        if units >= 10:
            taken += _plan_airport(rng, units=units, band=river_band)
    used = {(site.column + i, site.row + j) for site in taken for i in range(site.columns) for j in range(site.rows)}
    corners = [(column, row) for row in range(0, units, BLOCK) for column in range(0, units, BLOCK)]
    free = [corner for corner in corners if corner not in used]
    labels = [_FILLING[i % len(_FILLING)] for i in range(len(free))]
    for (column, row), label in zip(free, _zone(rng, free, labels), strict=True):
        taken.append(Site(label=label, column=column, row=row))
    turns = int(rng.integers(4))
    sites = tuple(_turn(site, units=units, quarter_turns=turns) for site in taken)
    return Layout(units=units, sites=sites, quarter_turns=turns, river_row=river_row)


def _plan_river(rng: np.random.Generator, *, units: int, band: int, river_row: int) -> list[Site]:
    """The river, one unit high, with a bridge or two, and along it the other half of its band."""
    bridges = rng.choice(np.arange(BLOCK + 1, units), size=2 if units > 8 else 1, replace=False).tolist()
    sites = [Site("river with a bridge", column=int(column), row=river_row, columns=1, rows=1) for column in bridges]
    sites.append(Site("open sea", column=0, row=river_row, columns=1, rows=1))
    sites.append(Site("river mouth", column=1, row=river_row, columns=1, rows=1))
    column = BLOCK
    while column < units:  # pieces of at most a block between the bridges
        if column in bridges:
            column += 1
            continue
        width = 1 if column + 1 in bridges or column + 1 >= units else BLOCK
        sites.append(Site("river", column=column, row=river_row, columns=width, rows=1))
        column += width
    beside = band if river_row != band else band + 1
    for column in range(BLOCK, units, BLOCK):
        label = _RIVERSIDE[int(rng.integers(len(_RIVERSIDE)))]
        sites.append(Site(label, column=column, row=beside, columns=BLOCK, rows=1))
    sites.append(Site("open sea", column=0, row=beside, columns=1, rows=1))
    sites.append(Site("beach", column=1, row=beside, columns=1, rows=1))
    return sites


def _plan_coast(rng: np.random.Generator, *, units: int, band: int) -> list[Site]:
    """Sea and beach in the first two columns, one harbour among them."""
    bands = [row for row in range(0, units, BLOCK) if row != band]
    harbour = int(rng.choice(bands))
    sites = [Site("harbour with boats", column=0, row=harbour)]
    for row in bands:
        if row != harbour:
            sites += [Site("open sea", column=0, row=row, columns=1), Site("beach", column=1, row=row, columns=1)]
    return sites


def _plan_airport(rng: np.random.Generator, *, units: int, band: int) -> list[Site]:
    """Runways of three blocks and, beside them, an apron of two, on the wider side of the river."""
    above, below = list(range(0, band, BLOCK)), list(range(band + BLOCK, units, BLOCK))
    bands = above if len(above) > len(below) else below
    first = int(rng.integers(len(bands) - 1))
    runway_row, apron_row = bands[first], bands[first + 1]
    if rng.random() < 0.5:
        runway_row, apron_row = apron_row, runway_row
    column = BLOCK * int(rng.integers(1, units // BLOCK - 2))
    apron_column = column + BLOCK * int(rng.integers(2))
    return [
        Site("runways", column=column, row=runway_row, columns=3 * BLOCK),
        Site("airport apron with aeroplanes", column=apron_column, row=apron_row, columns=2 * BLOCK),
    ]


def _zone(rng: np.random.Generator, free: list[tuple[int, int]], labels: list[str]) -> list[str]:
    """Order labels over the free corners so that town lies by town and country by country: random swaps that help."""
    order = [labels[i] for i in rng.permutation(len(labels))]
    index = {corner: i for i, corner in enumerate(free)}
    pairs = [(i, index[c + BLOCK, r]) for (c, r), i in index.items() if (c + BLOCK, r) in index]
    pairs += [(i, index[c, r + BLOCK]) for (c, r), i in index.items() if (c, r + BLOCK) in index]

    def cost(plan: list[str]) -> float:
        return sum(_clash(plan[i], plan[j]) for i, j in pairs)

    best = cost(order)
    for _ in range(400 if len(free) > 1 else 0):
        i, j = rng.choice(len(order), size=2, replace=False)
        order[i], order[j] = order[j], order[i]
        now = cost(order)
        if now > best:
            order[i], order[j] = order[j], order[i]
        else:
            best = now
    return order


def _clash(a: str, b: str) -> float:
    """How odd two plots look side by side."""
    if a == b:
        return 0.3
    if (a in _TOWN) == (b in _TOWN) and (a in _COUNTRY) == (b in _COUNTRY):
        return 0.0
    return 2.0 if "desert dunes" in (a, b) else 1.0


def _turn(site: Site, *, units: int, quarter_turns: int) -> Site:
    """Turn a plan counter-clockwise, as numpy.rot90 turns an array."""
    column, row, columns, rows = site.column, site.row, site.columns, site.rows
    for _ in range(quarter_turns):
        column, row, columns, rows = row, units - column - columns, rows, columns
    return Site(site.label, column=column, row=row, columns=columns, rows=rows)
