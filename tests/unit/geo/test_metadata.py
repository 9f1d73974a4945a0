from __future__ import annotations

import datetime

import pytest

from rsitr.geo.metadata import find_date, find_sensor


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("naip__m_4709963_se_14_1_20160816.tif", (2016, 8, 16)),
        ("S2A_MSIL2A_20190101T104343_N0213.jp2", (2019, 1, 1)),
        ("scene-2021-06-05.tif", (2021, 6, 5)),
        ("2021.06.05 site.tif", (2021, 6, 5)),
        ("LC08_L1TP_026036_20160816_20170322_01_T1.tif", (2016, 8, 16)),  # acquisition comes before processing
        ("20161399_20160816.tif", (2016, 8, 16)),  # the first eight digits are no day
    ],
)
def test_a_day_in_the_file_name(name: str, day: tuple[int, int, int]) -> None:
    found = find_date({}, name=name)
    assert found is not None
    assert (found.day, found.source) == (datetime.date(*day), "file name")


@pytest.mark.parametrize(
    "name",
    [
        "scene.tif",
        "5b90f92da0d7280005fab355_4310.tif",
        "www__2019_YELL_2_541000_4977000_image_crop.tiff",
        "a20160816f.tif",  # inside a hash
        "120160816.tif",
        "20161399.tif",
        "29990101.tif",  # from the future
        "2016-08_16.tif",
    ],
)
def test_other_digits_are_no_day(name: str) -> None:
    assert find_date({}, name=name) is None


def test_tags_of_acquisition_come_first_and_the_tiff_tag_last() -> None:
    name = "x_20160816.tif"
    tags = {"TIFFTAG_DATETIME": "2022:01:17 10:43:43", "ACQUISITIONDATETIME": "2015-05-06 10:00:00"}
    first = find_date(tags, name=name)
    second = find_date({"TIFFTAG_DATETIME": tags["TIFFTAG_DATETIME"]}, name=name)
    third = find_date({"TIFFTAG_DATETIME": tags["TIFFTAG_DATETIME"]}, name="x.tif")
    assert [(f.day.year, f.source) for f in (first, second, third) if f] == [
        (2015, "tag ACQUISITIONDATETIME"),
        (2016, "file name"),
        (2022, "tag TIFFTAG_DATETIME"),
    ]


@pytest.mark.parametrize("value", ["0000:00:00 00:00:00", "", "yesterday", "2019:13:01", "1750-01-01"])
def test_a_tag_without_a_day_says_nothing(value: str) -> None:
    assert find_date({"TIFFTAG_DATETIME": value}, name="x.tif") is None


@pytest.mark.parametrize("value", ["20160816104343", "2016-08-16T10:43:43Z", "2016:08:16 10:43:43", "2016/08/16"])
def test_spellings_of_a_tagged_day(value: str) -> None:
    found = find_date({"Acquisition Date": value}, name="x.tif")
    assert found is not None
    assert found.day == datetime.date(2016, 8, 16)


def test_sensor_is_what_the_tags_name() -> None:
    assert find_sensor({"SATELLITEID": '"WV03"'}) == "WV03"
    assert find_sensor({"TIFFTAG_IMAGEDESCRIPTION": "Sentinel-1A IW GRD HR L1"}) == "Sentinel-1A"
    assert find_sensor({"TIFFTAG_IMAGEDESCRIPTION": "IDL TIFF file", "SENSOR": " "}) is None
