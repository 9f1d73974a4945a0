"""How long an index takes that lies elsewhere, and what is read of it: a folder, a bucket, Milvus, one after the other.

    python benchmarks/stores.py /tmp/bench.index s3://bucket/bench milvus://127.0.0.1:19530/bench

Tiles have random vectors of the packaged model's width. Each place is filled, searched by a reader of its own that has
nothing of it on disk, and again by the next one; then a scene is replaced, and the open reader searches once more. What
is there is taken away first and last.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from rsitr.index import STORES
from rsitr.index.address import ENGINES, address_of, cache_of, find_index
from rsitr.index.traffic import read_traffic
from rsitr.types import SceneEntry, Store, Tile, TileFilter

DIM = 384
SCENES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="*", help="folders and addresses [default: a folder, and a bucket on loopback]")
    parser.add_argument("--tiles", type=int, default=20_000)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(given.tiles, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    print(f"{given.tiles:,} tiles of {DIM} numbers in {SCENES} scenes")
    with ExitStack() as closing:
        for place in given.places or usual_places(closing):
            folder = closing.enter_context(tempfile.TemporaryDirectory())
            os.environ |= {"XDG_DATA_HOME": f"{folder}/data", "XDG_CACHE_HOME": f"{folder}/cache"}
            measure(place, rows)


def usual_places(closing: ExitStack) -> list[str]:
    """A folder, and a bucket on a server that this process starts for it."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    closing.callback(server.stop)
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}
    os.environ |= {**keys, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_EC2_METADATA_DISABLED": "true"}
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="bench")
    return [f"{closing.enter_context(tempfile.TemporaryDirectory())}/bench.index", "s3://bench/index"]


def measure(place: str, rows: np.ndarray) -> None:
    """Fill one place, and search it."""
    folder = find_index(place)
    address = address_of(folder)

    def open_store() -> Store:
        folder.mkdir(parents=True, exist_ok=True)
        return STORES["lance" if address is None else ENGINES[address.scheme]](folder, dim=DIM)

    store = open_store()
    store.remove(store.scene_names())
    each = len(rows) // SCENES
    filled_s = timed(lambda: [put(store, n, rows[n * each : (n + 1) * each]) for n in range(SCENES)])
    cache = cache_of(folder)
    if address is not None:
        for path in cache.rglob("*"):
            path.unlink() if path.is_file() else None
    reader = open_store()
    first_s = timed(lambda: reader.search(rows[0], k=100))
    read_bytes = read_traffic(cache).read_bytes if address is not None else 0
    next_s = timed(lambda: open_store().search(rows[0], k=100))
    warm_s = min(timed(lambda: reader.search(rows[0], k=100)) for _ in range(5))
    where = TileFilter(bbox=(0.0, 0.0, 5.0, 5.0))
    filtered_s = min(timed(lambda: reader.search(rows[0], k=100, where=where)) for _ in range(5))
    put(store, 0, rows[:each][::-1])
    changed_s = timed(lambda: reader.search(rows[0], k=100))
    store.remove(store.scene_names())
    said = [filled_s, first_s, next_s, warm_s, filtered_s, changed_s]
    names = ("filled", "first search", "next process", "warm", "warm, in a box", "after a change")
    print(place, *(f"  {name}: {second_s:.3f} s" for name, second_s in zip(names, said, strict=True)), sep="\n")
    if address is not None:
        print(f"  read: {read_bytes / 1e6:.1f} MB for the first search")


def put(store: Store, n: int, rows: np.ndarray) -> None:
    """Write one scene."""
    scene = f"scene-{n}.tif"
    tiles = []
    for i in range(len(rows)):
        west, south = float(n), i / len(rows) * 10
        ring = ((west, south), (west + 1, south), (west + 1, south + 0.1), (west, south + 0.1), (west, south))
        tiles.append(Tile(f"{scene}:{i}", scene, (i, 0, 224, 224), ring, (west, south, west + 1, south + 0.1)))
    store.put([SceneEntry(scene, 1, 1, (9, 9), len(rows), 0)], tiles, rows)


def timed(act: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
