"""WebDataset shards: tar files whose members of one stem are a sample, a picture and its captions.

    train-000.tar
        0001.jpg
        0001.txt                       one caption a line
        0002.png
        0002.json                      {"captions": [...]} or {"caption": ...}, and, if any, "split" and "label"

They are unpacked once into pictures and a table as :mod:`rsitr.data.table` reads it, so that everything that looks at a
data set (checks, duplicates, training with exact resume in any order) finds files: beside the first of them, or, of a
bucket, in the user's cache.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from rsitr.buckets import explain_bucket, find_endpoint, open_bucket
from rsitr.data.records import canonical_split
from rsitr.errors import DataError
from rsitr.files import explain_disk, locked, user_folder

__all__ = ["expand_braces", "unpack_shards"]

TABLE_FILE = "captions.csv"
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
TEXTS = (".txt", ".json")
MOST_SHARDS = 100_000
NAMED = 3
CHUNK = 2**20
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_SPLIT = re.compile(r"(?:^|[-_.])(train|val|valid|validation|dev|test)(?=$|[-_.\d])", re.IGNORECASE)


def expand_braces(pattern: str) -> list[str]:
    """The names that a pattern stands for, in its order.

    Raises:
        DataError: a brace is not closed, or has neither a range nor a list in it, or there are too many names.

    Example:
        >>> expand_braces("{train,val}-{08..10}.tar")[:4]
        ['train-08.tar', 'train-09.tar', 'train-10.tar', 'val-08.tar']
    """
    before, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    inside, closed, after = rest.partition("}")
    numbers = _RANGE.fullmatch(inside)
    if not closed or (numbers is None and "," not in inside):
        raise DataError(f"{pattern!r}: braces hold a range or a list, as in train-{{000..099}}.tar")
    if numbers is None:
        chosen = inside.split(",")
    else:
        first, last = int(numbers[1]), int(numbers[2])
        if not 0 <= last - first < MOST_SHARDS:
            raise DataError(f"{pattern!r}: {{{inside}}} must go upwards, over {MOST_SHARDS:,} shards at most")
        chosen = [f"{number:0{len(numbers[1])}d}" for number in range(first, last + 1)]
    ends = expand_braces(after)
    if len(chosen) * len(ends) > MOST_SHARDS:
        raise DataError(f"{pattern!r} stands for more than {MOST_SHARDS:,} shards")
    return [before + middle + end for middle in chosen for end in ends]


def unpack_shards(pattern: str) -> Path:
    """The table of the shards' samples; what an earlier call unpacked is taken, as long as the shards are the same.

    A sample that lacks its captions or its picture stays in the table, with a blank caption or a file that is not
    there: `rsitr data check` names it.

    Raises:
        DataError: a shard is missing or damaged, two have one name, a member's name leads out of its folder, or there
            is no room.
    """
    shards = _find_in_bucket(pattern) if pattern.startswith("s3://") else _find_on_disk(pattern)
    if len({shard.stem for shard in shards}) < len(shards):
        raise DataError(f"{pattern}: two shards have one name, or one is named twice: give each a name of its own")
    marks = [(shard.mark, *shard.state) for shard in shards]
    digest = hashlib.sha256(repr((__name__, 1, marks)).encode()).hexdigest()[:16]
    folder = shards[0].place / f".unpacked-{digest}"
    with locked(folder.with_suffix(".lock"), error=DataError):
        if not (folder / TABLE_FILE).is_file():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            try:
                _unpack(shards, part)
                part.rename(folder)
            except OSError as error:
                raise DataError(f"cannot unpack shards into {folder}: {error.strerror or error}") from error
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return folder / TABLE_FILE


@dataclass(frozen=True)
class _Shard:
    """Where a shard is.

    Attributes:
        name: its path or address.
        mark: what tells it from others.
        state: its size in bytes, and when it was changed, in ns.
        place: the folder in which it is unpacked.
        fetch: gives it as a file, as long as that is needed.
    """

    name: str
    mark: str
    state: tuple[int, int]
    place: Path
    fetch: Callable[[], AbstractContextManager[Path]]

    @property
    def stem(self) -> str:
        """What its folder of pictures is called."""
        return PurePosixPath(self.name.replace("\\", "/")).stem


def _find_on_disk(pattern: str) -> list[_Shard]:
    if "://" in pattern:
        raise DataError(f"{pattern}: shards lie on a disk or in a bucket (s3://bucket/train-{{000..099}}.tar)")
    paths = [Path(name).expanduser().resolve() for name in expand_braces(pattern)]
    _require_all(len(paths), [str(path) for path in paths if not path.is_file()])
    states = [path.stat() for path in paths]
    return [
        _Shard(str(path), path.name, (state.st_size, state.st_mtime_ns), paths[0].parent, partial(_lend, path))
        for path, state in zip(paths, states, strict=True)
    ]


def _lend(path: Path) -> AbstractContextManager[Path]:
    return nullcontext(path)


def _find_in_bucket(pattern: str) -> list[_Shard]:
    from pyarrow import fs

    keys = [name.removeprefix("s3://") for name in expand_braces(pattern)]
    try:
        bucket = open_bucket()
        infos = bucket.get_file_info(keys)
    except (OSError, ValueError) as error:
        raise _bucket_trouble(pattern, error) from error
    _require_all(len(keys), [f"s3://{info.path}" for info in infos if info.type != fs.FileType.File])
    place = user_folder("cache") / "shards"
    server = find_endpoint() or ""
    return [
        _Shard(
            name=f"s3://{info.path}",
            mark=f"{server} {info.path}",
            state=(int(info.size), int(info.mtime_ns or 0)),
            place=place,
            fetch=partial(_download, bucket, info.path),
        )
        for info in infos
    ]


@contextmanager
def _download(bucket: Any, key: str) -> Iterator[Path]:
    """An object as a file for a while."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.tar"
        try:
            with bucket.open_input_stream(key) as stream, path.open("wb") as file:
                shutil.copyfileobj(stream, file, CHUNK)
        except OSError as error:
            raise _bucket_trouble(f"s3://{key}", error) from error
        yield path


def _bucket_trouble(what: str, error: Exception) -> DataError:
    said = (
        explain_disk(error) or explain_bucket(error) or (str(error).strip().splitlines() or [type(error).__name__])[0]
    )
    return DataError(f"{what}: cannot be read: {said}")


def _require_all(n: int, missing: list[str]) -> None:
    if missing:
        raise DataError(f"{len(missing):,} of {n:,} shards are not there: {_name_some(missing)}")


@dataclass
class _Sample:
    """What the members of one stem say."""

    picture: str | None = None
    captions: list[str] = field(default_factory=list)
    split: str | None = None
    label: str | None = None


def _unpack(shards: list[_Shard], folder: Path) -> None:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("filename", "title", "split", "label"))
    damaged: list[str] = []
    for shard in shards:
        stated = _SPLIT.search(shard.stem)
        split = canonical_split(stated[1]) if stated else "train"
        samples: dict[str, _Sample] = {}
        try:
            with shard.fetch() as path:
                for member, content in _members(path):
                    _take(samples, member, content, folder=folder / shard.stem)
        except (tarfile.TarError, EOFError) as error:
            damaged.append(f"{shard.name} ({error})")
        for stem, sample in samples.items():
            name = f"{shard.stem}/{sample.picture or stem + PICTURES[0]}"
            for caption in sample.captions or [""]:
                writer.writerow((name, caption, sample.split or split, sample.label or ""))
    if damaged:
        raise DataError(
            f"{len(damaged):,} of {len(shards):,} shards are damaged: {_name_some(damaged)}; copy them again"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE_FILE).write_text(table.getvalue(), encoding="utf-8", newline="")


def _members(shard: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of a shard's files that are pictures or texts, to its very end.

    Raises:
        TarError: it is no tar file, or ends early: tarfile itself takes a damaged header for the end.
    """
    with tarfile.open(shard, mode="r:") as tar:
        for member in tar:
            if member.isfile() and PurePosixPath(member.name).suffix.lower() in (*PICTURES, *TEXTS):
                content = tar.extractfile(member)
                yield member.name, b"" if content is None else content.read()
        end = tar.offset
    with shard.open("rb") as file:
        file.seek(end)
        rest = file.read(tarfile.BLOCKSIZE)
    if rest.strip(b"\0") or not rest:
        raise tarfile.ReadError(f"no end mark at byte {end:,}")


def _take(samples: dict[str, _Sample], name: str, content: bytes, *, folder: Path) -> None:
    """Add a member to its sample; a picture is written, the first of a sample's."""
    path = PurePosixPath(name.replace("\\", "/").removeprefix("./"))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{folder.name}.tar: the member {name!r} leads out of its folder: make the shard anew")
    # A sample's name ends at its first dot, as WebDataset has it.
    stem = (path.parent / path.name.partition(".")[0]).as_posix()
    sample = samples.setdefault(stem, _Sample())
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        if sample.picture is None:
            sample.picture = stem + suffix
            file = folder / sample.picture
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    elif suffix == ".txt":
        sample.captions += content.decode("utf-8-sig", errors="replace").splitlines()
    else:
        _read_json(sample, content)


def _read_json(sample: _Sample, content: bytes) -> None:
    """What is no object of captions says nothing, and the sample is left without."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return
    if not isinstance(said, Mapping):
        return
    found: object = next((said[key] for key in ("captions", "caption", "title") if said.get(key)), [])
    sample.captions += [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, str)]
    sample.split = canonical_split(said["split"]) if isinstance(said.get("split"), str) else sample.split
    sample.label = said["label"] if isinstance(said.get("label"), str) else sample.label


def _name_some(names: Iterator[str] | list[str]) -> str:
    known = list(names)
    more = f" and {len(known) - NAMED:,} more" if len(known) > NAMED else ""
    return ", ".join(known[:NAMED]) + more
