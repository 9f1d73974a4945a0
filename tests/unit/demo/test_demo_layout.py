from __future__ import annotations

import numpy as np
import pytest

from rsitr.demo.drawing.layout import DRAWERS, UNIT_PX, Layout, plan_layout
from rsitr.demo.queries import QUERIES

WATER = {"open sea", "beach", "harbour with boats", "river", "river mouth", "river with a bridge"}


def plans(units: int) -> list[Layout]:
    return [plan_layout(np.random.default_rng(seed), units=units) for seed in range(25)]


@pytest.mark.parametrize("units", [2, 4, 6, 8, 10, 12])
def test_sites_fill_the_grid_without_overlap(units: int) -> None:
    for plan in plans(units):
        covered = np.zeros((units, units), dtype=int)
        for site in plan.sites:
            assert site.label in DRAWERS
            covered[site.row : site.row + site.rows, site.column : site.column + site.columns] += 1
        assert (covered == 1).all()
        assert sum(site.columns * site.rows for site in plan.sites) == units**2  # none reaches beyond the grid


def test_a_full_plan_holds_an_answer_to_every_query() -> None:
    for plan in plans(12):
        present = {site.label for site in plan.sites}
        assert all(query.answers & present for query in QUERIES)


def test_every_kind_that_can_be_drawn_is_asked_for() -> None:
    asked = set().union(*(query.answers for query in QUERIES))
    assert set(DRAWERS) - asked == {"open sea"}  # nobody captions an empty tile of water
    assert asked <= set(DRAWERS)


def test_water_comes_with_size() -> None:
    assert all(WATER.isdisjoint({site.label for site in plan.sites}) for plan in plans(6))
    assert all({site.label for site in plan.sites} >= WATER for plan in plans(8))


def test_the_coast_lies_where_the_turns_say() -> None:
    sides = set()
    for plan in plans(8):
        sea = [site for site in plan.sites if site.label == "open sea"]
        side = {
            0: all(site.column == 0 for site in sea),
            1: all(site.row + site.rows == 8 for site in sea),
            2: all(site.column + site.columns == 8 for site in sea),
            3: all(site.row == 0 for site in sea),
        }
        assert side[plan.quarter_turns]
        sides.add(plan.quarter_turns)
    assert sides == {0, 1, 2, 3}  # the seed decides


def test_roads_keep_off_water_woods_and_the_edge() -> None:
    for plan in plans(12):
        for site in plan.sites:
            roads = plan.roads(site)
            if site.label in WATER:
                assert not any((roads.left, roads.top, roads.right, roads.bottom))
            left, top, width, height = site.window_px
            assert not (roads.left and left == 0)
            assert not (roads.top and top == 0)
            assert not (roads.right and left + width == plan.units * UNIT_PX)
            assert not (roads.bottom and top + height == plan.units * UNIT_PX)
    assert any(plan.roads(site).left for plan in plans(12) for site in plan.sites)
