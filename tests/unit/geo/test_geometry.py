from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely.geometry import shape

from rsitr.geo import area_km2, bbox_centre, bbox_shape, enclosing_bbox, geojson_geometry
from rsitr.types import BBox, Ring

ACROSS: Ring = ((179.0, 10.0), (182.0, 10.0), (182.0, 12.0), (179.0, 12.0), (179.0, 10.0))
BELOW: Ring = tuple((lon - 360.0, lat) for lon, lat in ACROSS)
PLAIN: Ring = ((9.0, 50.0), (10.0, 50.0), (10.0, 51.0), (9.0, 51.0), (9.0, 50.0))


def test_an_ordinary_outline_is_a_polygon() -> None:
    found = geojson_geometry(PLAIN)
    assert found["type"] == "Polygon"
    assert [len(ring) for ring in found["coordinates"]] == [len(PLAIN)]
    polygon = shape(found)
    assert polygon.equals(shapely.Polygon(PLAIN))
    assert polygon.exterior.is_ccw


@pytest.mark.parametrize("ring", [ACROSS, BELOW])
def test_an_outline_across_the_antimeridian_is_cut_there(ring: Ring) -> None:
    found = shape(geojson_geometry(ring))
    assert found.geom_type == "MultiPolygon"
    assert found.is_valid
    assert sorted(part.bounds for part in found.geoms) == [(-180.0, 10.0, -178.0, 12.0), (179.0, 10.0, 180.0, 12.0)]
    assert all(part.exterior.is_ccw for part in found.geoms)


@pytest.mark.parametrize(
    ("boxes", "around"),
    [
        ([(1.0, 2.0, 3.0, 4.0)], (1.0, 2.0, 3.0, 4.0)),
        ([(1.0, 2.0, 3.0, 4.0), (-5.0, 0.0, 2.0, 3.0)], (-5.0, 0.0, 3.0, 4.0)),
        ([(170.0, 0.0, 175.0, 1.0), (-179.0, 0.0, -170.0, 2.0)], (170.0, 0.0, -170.0, 2.0)),
        ([(179.0, 0.0, -179.0, 1.0)], (179.0, 0.0, -179.0, 1.0)),
        ([(-180.0, -1.0, 180.0, 1.0), (5.0, 0.0, 6.0, 7.0)], (-180.0, -1.0, 180.0, 7.0)),
        ([(-100.0, 0.0, -90.0, 1.0), (80.0, 0.0, 90.0, 1.0), (0.0, 0.0, 1.0, 1.0)], (-100.0, 0.0, 90.0, 1.0)),
    ],
)
def test_the_smallest_box_around_many(boxes: list[BBox], around: BBox) -> None:
    assert enclosing_bbox(boxes) == around


def test_no_boxes_have_no_box() -> None:
    assert enclosing_bbox([]) is None


def test_centre_and_shape_across_the_antimeridian() -> None:
    assert bbox_centre((179.0, 10.0, -177.0, 12.0)) == (-179.0, 11.0)
    assert bbox_centre((177.0, 10.0, -179.0, 12.0)) == (179.0, 11.0)
    assert bbox_shape((179.0, 10.0, -178.0, 12.0)).area == pytest.approx(3.0 * 2.0)


def test_area_counts_shared_ground_once() -> None:
    one = area_km2([PLAIN])
    assert one == pytest.approx(111.2 * 70.9, rel=0.01)
    assert area_km2([PLAIN, PLAIN]) == pytest.approx(one)
    assert area_km2([ACROSS]) == pytest.approx(area_km2([BELOW]))
    assert area_km2([]) == 0


@pytest.mark.parametrize(
    ("boxes", "around"),
    [
        ([(-150.0, 0.0, -140.0, 1.0), (170.0, 0.0, -110.0, 1.0)], (170.0, 0.0, -110.0, 1.0)),
        ([(170.0, 0.0, -110.0, 1.0), (-120.0, 0.0, -100.0, 1.0)], (170.0, 0.0, -100.0, 1.0)),
        ([(-180.0, 0.0, -90.0, 1.0), (0.0, 0.0, 90.0, 1.0)], (-180.0, 0.0, 90.0, 1.0)),
        ([(-180.0, 0.0, 0.0, 1.0), (0.0, 0.0, 180.0, 1.0)], (-180.0, 0.0, 180.0, 1.0)),
    ],
)
def test_a_box_across_the_antimeridian_covers_ground_on_both_sides(boxes: list[BBox], around: BBox) -> None:
    assert enclosing_bbox(boxes) == around


@given(st.lists(st.tuples(st.integers(-36, 36), st.integers(-36, 36)), min_size=1, max_size=6))
def test_the_box_around_many_holds_their_ground_and_no_shorter_one_does(sides: list[tuple[int, int]]) -> None:
    boxes: list[BBox] = [(5.0 * west, 0.0, 5.0 * east, 1.0) for west, east in sides if west != east]
    assume(boxes)
    steps = np.arange(-180.0, 180.0, 5.0)

    def covered(box: BBox) -> NDArray[np.bool_]:
        """Which steps of the circle, 5 degrees each, a box covers."""
        west, _, east, _ = box
        return (steps - west) % 360.0 < (east - west if west <= east else east - west + 360.0)

    ground = np.any([covered(box) for box in boxes], axis=0)
    assume(ground.any())
    found = enclosing_bbox(boxes)
    assert found is not None
    assert not (ground & ~covered(found)).any()
    turned = [np.flatnonzero(np.roll(ground, -start))[-1] + 1 for start in range(len(steps))]
    assert covered(found).sum() == min(turned)
