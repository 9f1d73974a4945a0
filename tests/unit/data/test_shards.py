"""WebDataset shards: written by the webdataset package where it is there, and by hand where a writer would refuse."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path

import boto3
import pytest
import webdataset
from webdataset.tariterators import base_plus_ext, tar_file_iterator

from generators import draw_scene
from rsitr.data import CaptionDataset, load_dataset
from rsitr.data.check import check_dataset
from rsitr.data.shards import expand_braces
from rsitr.errors import DataError


def picture(seed: int, form: str = "JPEG") -> bytes:
    file = io.BytesIO()
    draw_scene(seed)[0].save(file, form)
    return file.getvalue()


def write_shards(folder: Path, *, shards: int = 2, samples: int = 3) -> str:
    """Shards as the webdataset package writes them; the pattern that names them."""
    folder.mkdir(exist_ok=True)
    forms = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
    for shard in range(shards):
        with webdataset.TarWriter(str(folder / f"train-{shard:03d}.tar")) as writer:
            for number in range(samples):
                kind = tuple(forms)[number % 3]
                said = (
                    {"json": {"captions": [f"scene {number} of {shard}", "two, with a comma"], "label": "field"}}
                    if number % 2
                    else {"txt": f"scene {number} of {shard}\nanother line"}
                )
                writer.write({"__key__": f"{shard}{number:03d}", kind: picture(number, forms[kind]), **said})
    return f"{folder}/train-{{000..{shards - 1:03d}}}.tar"


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def load(pattern: str | Path) -> CaptionDataset:
    return load_dataset(f"shards:{pattern}")


def test_what_webdataset_writes_is_read(tmp_path: Path) -> None:
    pattern = write_shards(tmp_path / "set")
    found = load(pattern)
    assert (found.name, found.splits) == ("shards", {"train": 6})
    assert [image.image_id for image in found.images[:3]] == [
        f"shards/train-000/000{n}.{kind}" for n, kind in enumerate(("jpg", "png", "webp"))
    ]
    assert found.images[0].captions == ("scene 0 of 0", "another line")
    assert found.images[4].captions == ("scene 1 of 1", "two, with a comma")
    assert found.images[4].label == "field"
    for number, image in enumerate(found.images):
        assert image.path.read_bytes() == picture(number % 3, ("JPEG", "PNG", "WEBP")[number % 3])
    # The reader of the package sees the same samples in the same order.
    read: dict[str, None] = {}
    for name in expand_braces(pattern):
        with Path(name).open("rb") as stream:
            read |= dict.fromkeys(base_plus_ext(entry["fname"])[0] for entry in tar_file_iterator(stream))
    assert list(read) == [image.path.stem for image in found.images]


def test_shards_are_unpacked_once_and_anew_when_they_change(tmp_path: Path) -> None:
    pattern = write_shards(tmp_path)
    first = load(pattern)
    stamps = [image.path.stat().st_mtime_ns for image in first.images]
    assert [image.path.stat().st_mtime_ns for image in load(pattern).images] == stamps
    write_tar(tmp_path / "train-001.tar", {"9.jpg": picture(9), "9.txt": b"new"})
    again = load(pattern)
    assert [image.captions for image in again.images][-1] == ("new",)
    assert again.sha256 != first.sha256


def test_splits_come_from_json_or_the_shards_names(tmp_path: Path) -> None:
    said = json.dumps({"caption": "one", "split": "test"}).encode()
    write_tar(tmp_path / "a-train-0.tar", {"1.jpg": picture(1), "1.json": said, "2.jpg": picture(2), "2.txt": b"two"})
    write_tar(tmp_path / "a-validation-0.tar", {"3.jpg": picture(3), "3.txt": b"three"})
    found = load(tmp_path / "a-{train,validation}-0.tar")
    assert found.splits == {"train": 1, "val": 1, "test": 1}


def test_what_is_missing_or_broken_is_counted_and_named(tmp_path: Path) -> None:
    shard = write_tar(
        tmp_path / "s.tar",
        {
            "good.jpg": picture(1),
            "good.txt": b"a field",
            "alone.txt": b"a caption without a picture",
            "mute.jpg": picture(2),
            "broken.jpg": picture(3),
            "broken.json": b'{"captions": ["a river"',
            "noise.jpg": b"no picture",
            "noise.txt": b"a road",
            "notes.md": b"nothing of it",
        },
    )
    found = load(shard)
    assert [image.image_id for image in found.images] == [f"shards/s/{n}.jpg" for n in ("good", "alone", "noise")]
    problems = {(problem.kind.value, problem.subject) for problem in check_dataset(f"shards:{shard}").problems}
    assert problems - {("blank caption", f"s/{name}.jpg") for name in ("mute", "broken")} == {
        ("missing image", "s/alone.jpg"),
        ("unreadable image", "s/noise.jpg"),
        ("image without any caption", "s/mute.jpg"),
        ("image without any caption", "s/broken.jpg"),
    }


@pytest.mark.parametrize("cut", [0.3, 0.5, 0.62, 0.9])
def test_a_shard_that_ends_early_is_named(tmp_path: Path, cut: float) -> None:
    pattern = write_shards(tmp_path, shards=3)
    whole = (tmp_path / "train-001.tar").read_bytes().rstrip(b"\0")
    (tmp_path / "train-001.tar").write_bytes(whole[: int(cut * len(whole)) // 512 * 512])
    with pytest.raises(DataError, match=r"1 of 3 shards are damaged: .*train-001\.tar .*copy them again"):
        load(pattern)
    assert not list(tmp_path.glob(".unpacked-*.part"))


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    pattern = write_shards(tmp_path, shards=1)
    shard = tmp_path / "train-000.tar"
    with tarfile.open(shard) as tar:
        place = tar.getmembers()[2].offset
    content = bytearray(shard.read_bytes())
    content[place : place + 100] = b"\xff" * 100
    shard.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        load(pattern)


@pytest.mark.parametrize("name", ["../out.jpg", "/tmp/out.jpg", "a/../../out.jpg", "..\\out.jpg"])
def test_a_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    shard = write_tar(tmp_path / "in" / "s.tar", {name: picture(1), "x.txt": b"a"})
    with pytest.raises(DataError, match="leads out of its folder"):
        load(shard)
    assert not list(tmp_path.rglob("out.jpg"))


def test_links_and_devices_are_no_pictures(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        link = tarfile.TarInfo("1.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for name, content in (("1.txt", b"a link"), ("2.jpg", picture(2)), ("2.txt", b"a field")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    found = load(tmp_path / "s.tar")
    assert not found.images[0].path.exists()
    assert found.images[1].path.read_bytes() == picture(2)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("no-{0..5}.tar", "6 of 6 shards are not there: .* and 3 more"),
        ("https://example.org/a.tar", "lie on a disk or in a bucket"),
        ("a-{0..5.tar", "braces hold a range or a list"),
        ("a-{x}.tar", "braces hold a range or a list"),
        ("a-{5..1}.tar", "must go upwards"),
        ("a-{0..99999999}.tar", "100,000 shards at most"),
        ("{0..999}-{0..999}.tar", "more than 100,000 shards"),
    ],
)
def test_patterns_without_shards(tmp_path: Path, pattern: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        load(pattern)


def test_shards_of_a_bucket_are_those_of_a_disk(
    buckets: str, bucket_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unpacked in the user's cache, once, and anew when one of them is another."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    there = load(write_shards(tmp_path / "tars"))
    client = boto3.client("s3", endpoint_url=bucket_server)
    for shard in (tmp_path / "tars").glob("*.tar"):
        client.upload_file(str(shard), buckets, f"sets/{shard.name}")
    pattern = f"s3://{buckets}/sets/train-{{000..001}}.tar"
    found = load(pattern)
    assert [(image.captions, image.split, image.label) for image in found.images] == [
        (image.captions, image.split, image.label) for image in there.images
    ]
    assert [image.path.read_bytes() for image in found.images] == [image.path.read_bytes() for image in there.images]
    (folder,) = (tmp_path / "cache").glob("rsitr/shards/.unpacked-????????????????")
    assert load(pattern).images == found.images
    time.sleep(1.1)  # a bucket tells in seconds when an object was changed
    client.upload_file(str(tmp_path / "tars" / "train-000.tar"), buckets, "sets/train-001.tar")
    assert len({image.captions for image in load(pattern).images}) < len({image.captions for image in found.images})
    assert len(list(folder.parent.glob(".unpacked-????????????????"))) == 2
    with pytest.raises(DataError, match=f"2 of 4 shards are not there: s3://{buckets}/sets/train-002.tar"):
        load(f"s3://{buckets}/sets/train-{{000..003}}.tar")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="its server cannot be reached"):
        load(pattern)


def test_what_is_no_tar_file_or_holds_no_sample_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"<html>" * 500)
    with pytest.raises(DataError, match="1 of 1 shards are damaged"):
        load(tmp_path / "a.tar")
    (tmp_path / "b.tar").write_bytes(b"")
    with pytest.raises(DataError, match="1 of 1 shards are damaged"):
        load(tmp_path / "b.tar")
    with pytest.raises(DataError, match="no picture with a caption"):
        load(write_tar(tmp_path / "c.tar", {"readme.md": b"none"}))
    with pytest.raises(DataError, match="one is named twice"):
        load(tmp_path / "{c,c}.tar")
