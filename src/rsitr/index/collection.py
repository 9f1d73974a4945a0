"""A collection of Milvus in which an index lies: tiles, scenes and small files in rows of one kind or another.

A row belongs to the version of the index in which it was written, and is seen once that version is the latest: a last
row says so, and which scenes it replaces. What is replaced is deleted later, when no reader can be at it any more.
"""

from __future__ import annotations

import base64
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsitr.errors import StoreError
from rsitr.extras import need
from rsitr.index.address import Address
from rsitr.index.condition import one_of
from rsitr.index.lease import STALE_S, Lease, Owner
from rsitr.index.names import PUBLISHED
from rsitr.index.versions import State
from rsitr.types import FloatArray

__all__ = ["PAGE_ROWS", "SCENE", "STATE", "TILE", "Collection", "Nearest"]

TILE, SCENE, STATE, FILE = range(4)
LONGEST = 65_535  # of a text in Milvus
CHUNK_BYTES = 45_000  # fit into one, in base64
PAGE_ROWS = 16_384  # Milvus gives no more at once
PAGE_BYTES = 32 * 2**20
SEND_BYTES = 8 * 2**20
TIMEOUT_S = 60.0
EMPTY: dict[str, Any] = {
    "scene": "", "west": 0.0, "south": 0.0, "east": 0.0, "north": 0.0, "day": 0, "gsd_m": 0.0, "sensor": "",
    "side_px": 0, "about": "",
}  # fmt: skip
SEEN_S = 0.3
"""What another process writes is noticed after so long at the latest; what this one writes, at once."""
REASONS = {
    "fail connecting": "Milvus does not answer there: is it running, and are host and port right?",
    "unavailable": "Milvus does not answer there: is it running, and are host and port right?",
    "deadline exceeded": "Milvus did not answer in time",
    "auth": "Milvus refuses who asks: set MILVUS_TOKEN to user:password, or to a token",
    "permission": "Milvus refuses who asks: set MILVUS_TOKEN to user:password, or to a token",
}


_seen: dict[str, tuple[float, State]] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """Rows that Milvus ranked, m of them, best first.

    Attributes:
        numbers: (m,) of the rows.
        scores: (m,) inner products as Milvus rounds them.
        vectors: (m, dim) of the rows.
    """

    numbers: NDArray[np.int64]
    scores: FloatArray
    vectors: FloatArray


class Collection:
    """Where an index lies in Milvus."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._name = address.name

    @property
    def client(self) -> Any:
        """A connection, which threads share; a process that was forked makes its own."""
        with self.guarded():
            return _connect(self.address.host, os.environ.get("MILVUS_TOKEN", ""), os.getpid())

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Errors of Milvus become one line."""
        need("pymilvus", what="an index in Milvus", error=StoreError)
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except MilvusException as error:
            said = str(getattr(error, "message", "") or error).strip().splitlines() or [type(error).__name__]
            reason = next((reason for word, reason in REASONS.items() if word in " ".join(said).lower()), said[0])
            raise StoreError(f"{self.address}: {reason}") from error

    def exists(self) -> bool:
        """Whether there is such a collection."""
        client = self.client
        with self.guarded():
            return bool(client.has_collection(self._name))

    def make(self, *, dim: int, code_length: int) -> None:
        """Make the collection of an empty index, and have it searched."""
        from pymilvus import DataType

        client = self.client
        with self.guarded():
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False, description="an index of rsitr")
            schema.add_field("number", DataType.INT64, is_primary=True)
            schema.add_field("kind", DataType.INT8)
            for name, empty in EMPTY.items():
                if isinstance(empty, str):
                    schema.add_field(name, DataType.VARCHAR, max_length=LONGEST)
                else:
                    schema.add_field(name, DataType.DOUBLE if isinstance(empty, float) else DataType.INT32)
            if code_length:
                schema.add_field("code", DataType.VARCHAR, max_length=LONGEST)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
            client.create_collection(self._name, schema=schema, consistency_level="Strong", num_shards=1)
            index = client.prepare_index_params()
            index.add_index("vector", index_type="FLAT", metric_type="IP")  # exact, whatever the number of tiles
            client.create_index(self._name, index)
            client.load_collection(self._name)
        self.commit(State(0, os.urandom(8).hex()), dim=dim, code_length=code_length)

    def require(self, *, dim: int, code_length: int) -> None:
        """Have the collection searched; raises StoreError for one with other columns."""
        client = self.client
        with self.guarded():
            fields = {field["name"]: field for field in client.describe_collection(self._name)["fields"]}
            wanted = {"number", "kind", "vector", *EMPTY, *(["code"] if code_length else [])}
            if set(fields) != wanted or int(fields["vector"]["params"]["dim"]) != dim:
                raise StoreError(f"{self.address}: the collection has other columns than this index's {len(wanted)}")
            if client.get_load_state(self._name)["state"].name != "Loaded":
                client.load_collection(self._name)

    def query(self, condition: str, fields: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of a condition, as of now."""
        client = self.client
        with self.guarded():
            found: list[dict[str, Any]] = client.query(
                self._name, filter=condition, output_fields=list(fields), consistency_level="Strong", timeout=TIMEOUT_S
            )
            return found

    def pages(self, condition: str, fields: Sequence[str], *, row_bytes: int) -> Iterator[list[dict[str, Any]]]:
        """The rows of a condition in the order of their numbers, some at a time."""
        client, last = self.client, -(2**63) + 1
        most = max(1, min(PAGE_ROWS, PAGE_BYTES // row_bytes))
        while True:
            with self.guarded():
                page = client.query(
                    self._name,
                    filter=f"{condition} and number > {last}",
                    output_fields=["number", *fields],
                    limit=most,
                    consistency_level="Strong",
                    timeout=TIMEOUT_S,
                )
            if page:
                yield list(page)
                last = max(row["number"] for row in page)
            if len(page) < most:
                return

    def nearest(self, vector: Sequence[float], *, k: int, condition: str) -> Nearest:
        """The k rows with the highest inner products, best first."""
        client = self.client
        with self.guarded():
            (found,) = client.search(
                self._name,
                data=[vector],
                anns_field="vector",
                limit=k,
                filter=condition,
                output_fields=["number", "vector"],
                search_params={"metric_type": "IP"},
                consistency_level="Strong",
                timeout=TIMEOUT_S,
            )
        return Nearest(
            np.array([hit["entity"]["number"] for hit in found], np.int64),
            np.array([hit["distance"] for hit in found], np.float32),
            np.array([hit["entity"]["vector"] for hit in found], np.float32).reshape(len(found), len(vector)),
        )

    def count(self, condition: str) -> int:
        """How many rows meet a condition."""
        (found,) = self.query(condition, ["count(*)"])
        return int(found["count(*)"])

    def insert(self, rows: Sequence[dict[str, Any]], *, dim: int) -> None:
        """Add rows; all fields that they lack are empty."""
        client = self.client
        most = max(1, SEND_BYTES // (4 * dim + 2000))
        with self.guarded():
            for start in range(0, len(rows), most):
                some = [EMPTY | row for row in rows[start : start + most]]
                client.insert(self._name, some, timeout=TIMEOUT_S)

    def delete(self, condition: str) -> None:
        """Take rows out."""
        client = self.client
        with self.guarded():
            client.delete(self._name, filter=condition, timeout=TIMEOUT_S)

    def state(self) -> State:
        """The latest version."""
        at = time.monotonic()
        rows = self.query(f"kind == {STATE}", ["number", "about"])
        if not rows:
            raise StoreError(f"{self.address}: the collection is there, and is no index")
        latest = max(rows, key=lambda row: int(row["number"]))
        found = State.read(int(latest["number"]), latest["about"])
        _seen[str(self.address)] = (at, found)
        return found

    def recent(self) -> State:
        """As `state`, or what that was a moment ago, unless this process has written since."""
        at, found = _seen.get(str(self.address), (0.0, None))
        return found if found is not None and time.monotonic() - at < SEEN_S else self.state()

    def commit(self, state: State, *, dim: int, code_length: int) -> None:
        """Make a version the latest: with this one row, all rows of it are seen at once."""
        self.insert([self.row(state.first, STATE, dim=dim, code_length=code_length, about=state.spell())], dim=dim)
        _seen.pop(str(self.address), None)

    def row(self, number: int, kind: int, *, dim: int, code_length: int, **fields: Any) -> dict[str, Any]:
        """A row without a vector of its own."""
        code = {"code": ""} if code_length else {}
        return {"number": number, "kind": kind, "vector": [1.0, *[0.0] * (dim - 1)], **code, **fields}

    def list_files(self) -> dict[str, str]:
        """The small files that are there, each with what tells its states apart."""
        return {name: str(stamp) for name, (stamp, _) in self._parts().items()}

    def is_other(self) -> bool:
        """Whether something else lies there."""
        if not self.exists():
            return False
        client = self.client
        with self.guarded():
            fields = {field["name"] for field in client.describe_collection(self._name)["fields"]}
        return not {"number", "kind", *EMPTY} <= fields

    def read(self, name: str) -> bytes:
        """What a file holds."""
        stamp, n = self._parts()[name]
        rows = self.query(f"kind == {FILE} and number <= {-stamp} and number > {-stamp - n}", ["side_px", "about"])
        parts = sorted((int(row["side_px"]), row["about"]) for row in rows)
        return base64.b64decode("".join(about for _, about in parts))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        client = self.client
        with self.guarded():
            fields = {field["name"]: field for field in client.describe_collection(self._name)["fields"]}
        dim, has_code = int(fields["vector"]["params"]["dim"]), "code" in fields
        coded, stamp = base64.b64encode(content).decode(), time.time_ns()
        step = 4 * CHUNK_BYTES // 3
        parts = [coded[start : start + step] for start in range(0, max(1, len(coded)), step)]
        rows = [
            self.row(
                -(stamp + i),
                FILE,
                dim=dim,
                code_length=int(has_code),
                scene=name,
                about=part,
                side_px=i,
                day=len(parts),
            )
            for i, part in enumerate(parts)
        ]
        self.insert(rows, dim=dim)
        self.delete(f"kind == {FILE} and {one_of('scene', [name])} and number > {-stamp}")

    def measure(self) -> None:
        """Milvus does not tell how many bytes it takes."""

    def clear(self) -> None:
        """Take away an index of which nothing has come; the lock stays."""
        client = self.client
        with self.guarded():
            if client.has_collection(self._name):
                client.drop_collection(self._name)
        _seen.pop(str(self.address), None)

    def hold(self) -> Lease:
        """Become the one who writes.

        An empty collection is the note of it: Milvus makes one of a name and a description, or refuses. It is renewed
        as one of its properties.

        Raises:
            StoreError: somebody else is.
        """
        own, lock, client = Owner().spell(), f"{self._name}_lock", self.client
        self._take(own, lock)

        def renew() -> bool:
            if _owner(client, lock) != own:
                return False
            client.alter_collection_properties(lock, {"rsitr.renewed": f"{time.time():.0f}"})
            return True

        def release() -> None:
            with suppress(Exception):  # it is forgotten after a while
                if _owner(client, lock) == own:
                    client.drop_collection(lock)

        return Lease(self.address, renew=renew, release=release)

    def _take(self, own: str, lock: str) -> None:
        from pymilvus import DataType
        from pymilvus.exceptions import MilvusException

        client = self.client
        with self.guarded():
            if client.has_collection(lock):
                there = client.describe_collection(lock)
                owner = Owner.read(there["description"])
                renewed = float(there.get("properties", {}).get("rsitr.renewed", 0))
                if not owner.has_ended() and time.time() - max(renewed, owner.began()) < STALE_S:
                    raise owner.refuse(self.address)
                client.drop_collection(lock)
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False, description=own)
            schema.add_field("number", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
            try:
                client.create_collection(lock, schema=schema, num_shards=1)
            except MilvusException as error:
                if client.has_collection(lock):
                    raise Owner.read(_owner(client, lock)).refuse(self.address) from error
                raise

    def _parts(self) -> dict[str, tuple[int, int]]:
        """Of each small file, the newest that is whole: its stamp, and in how many parts it is."""
        if not self.exists():
            return {}
        whole: dict[tuple[str, int], list[int]] = {}
        if self.is_other():
            return {}
        for row in self.query(f"kind == {FILE}", ["number", "scene", "side_px", "day"]):
            stamp = -int(row["number"]) - int(row["side_px"])
            whole.setdefault((row["scene"], stamp), []).append(int(row["day"]))
        found: dict[str, tuple[int, int]] = {}
        for (name, stamp), parts in sorted(whole.items()):
            if name in PUBLISHED and len(parts) == parts[0]:
                found[name] = (stamp, len(parts))
        return found


def _owner(client: Any, lock: str) -> str:
    return str(client.describe_collection(lock)["description"]) if client.has_collection(lock) else ""


@cache
def _connect(host: str, token: str, _process: int) -> Any:
    from pymilvus import MilvusClient

    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what goes wrong is raised, and said once
    scheme = "https" if host.endswith(":443") else "http"
    return MilvusClient(uri=f"{scheme}://{host}", token=token, timeout=10)
