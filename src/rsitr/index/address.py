"""Where an index lies that is no folder: `s3://bucket/prefix`, `milvus://host:19530/collection`.

Such an index has a folder on each host that uses it, its home: what is small lies there as a copy, and what belongs to
one host alone, its journal, detectors and reviews. Whoever is handed the home is at the index.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rsitr.buckets import find_endpoint
from rsitr.errors import StoreError
from rsitr.files import user_folder
from rsitr.index.names import HOME

__all__ = ["ENGINES", "Address", "address_of", "cache_of", "find_index", "parse_address", "spell"]

ENGINES = {"s3": "lance", "milvus": "milvus"}
"""What keeps the tiles behind each kind of address, by its name in `rsitr.index.STORES`."""
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?=[^/])")  # pathlib makes one slash of two
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
MILVUS_PORT = 19530
HOMES = "indexes"

_known: dict[Path, Address] = {}


@dataclass(frozen=True, slots=True)
class Address:
    """Where an index lies.

    Attributes:
        scheme: `s3` or `milvus`.
        host: the bucket, or the server with its port.
        name: the prefix in the bucket, or the collection.
    """

    scheme: str
    host: str
    name: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}/{self.name}"


def parse_address(text: str) -> Address | None:
    """The address that a text is; None for the path of a folder.

    >>> str(parse_address("milvus://vectors.example.org/archive"))
    'milvus://vectors.example.org:19530/archive'
    >>> parse_address("archive.index") is None
    True

    Raises:
        StoreError: it is an address, and none that an index can have.
    """
    found = SCHEME.match(text)
    if found is None:
        return None
    scheme, rest = found[1].lower(), text[found.end() :]
    if "@" in rest.partition("/")[0]:
        raise StoreError(
            f"{scheme}://...: an address with a user or password in it is not taken, as it would stand in logs and "
            "lists of processes; variables of the environment are for these (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, MILVUS_TOKEN)"
        )
    if scheme not in ENGINES:
        raise StoreError(f"{text}: an index is a folder, s3://bucket/prefix, or milvus://host:19530/collection")
    host, _, name = rest.partition("/")
    return _bucket(text, host, name) if scheme == "s3" else _collection(text, host, name)


def _bucket(text: str, host: str, name: str) -> Address:
    parts = [part for part in name.split("/") if part]
    if not parts or not BUCKET.fullmatch(host) or {".", ".."} & set(parts) or re.search(r"[?#\x00-\x1f\\]", name):
        raise StoreError(f"{text}: an index in a bucket is s3://bucket/prefix")
    return Address("s3", host, "/".join(parts))


def _collection(text: str, host: str, name: str) -> Address:
    try:
        split = urlsplit(f"//{host}")
        port = split.port or MILVUS_PORT
    except ValueError:
        split, port = urlsplit(""), 0
    if not split.hostname or not COLLECTION.fullmatch(name.rstrip("/")):
        raise StoreError(
            f"{text}: an index in Milvus is milvus://host:19530/collection, whose name has letters, digits and _ only"
        )
    shown = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    return Address("milvus", f"{shown}:{port}", name.rstrip("/"))


def find_index(place: str | Path) -> Path:
    """The folder of an index: as it is named, or the home of one that lies elsewhere. Nothing is made or asked.

    Raises:
        StoreError: see `parse_address`.
    """
    address = parse_address(os.fspath(place))
    if address is None:
        return Path(place)
    home = user_folder("data") / HOMES / _label(address)
    _known[home] = address
    return home


def address_of(folder: Path) -> Address | None:
    """Where the index lies whose home a folder is; None for the folder of an index."""
    if (known := _known.get(folder)) is not None:
        return known
    try:
        address = parse_address(json.loads((folder / HOME).read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if address is not None:
        _known[folder] = address
    return address


def cache_of(folder: Path) -> Path:
    """The folder beside which can be kept what can be made again: of a home, in the user's cache (XDG)."""
    address = address_of(folder)
    return folder if address is None else user_folder("cache") / HOMES / _label(address)


def spell(text: str) -> str:
    """A text for people: homes in it are called by the addresses that they are of."""
    for home, address in _known.items():
        text = text.replace(os.fspath(home), str(address))
    return text


def _label(address: Address) -> str:
    """Buckets of one name on two servers are two."""
    server = find_endpoint() if address.scheme == "s3" else None
    digest = hashlib.sha256(f"{server or ''} {address}".encode()).hexdigest()[:12]
    return f"{address.name.rpartition('/')[2][:100]}-{digest}"
