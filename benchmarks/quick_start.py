"""Claim: a command line begins at once, and a search that a warm process answers is over before one notices.

    python benchmarks/quick_start.py [--runs 5 --tiles 10000]

Writes an index of synthetic tiles (random unit vectors, the packaged model), and runs `rsitr --help`, `info` and
`search` over it in processes of their own: with compiled bytecode, without that of rsitr (as a fresh checkout and
`PYTHONDONTWRITEBYTECODE=1` have it), and `search` and `info` through `rsitr up`. Prints medians of wall and processor
time, the modules that each has imported, and what is claimed of the wall time on a machine that does nothing else:
0.4 s for --help, 0.5 s for info, 1.2 s for a search; without bytecode 1 s for info and 2.5 s for a search; 0.15 s for
a warm one. Where more processes want to run than there are cores, wall time says nothing, and the processor time is
judged instead; of a warm answer that is the asking process's alone, so it is then shown and not judged. Status 1 if a
claim is broken.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import rsitr
from rsitr.index import Manifest, Settings
from rsitr.index.folder import create_index
from rsitr.models.zoo import load_encoder
from rsitr.types import SceneEntry, Tile

SCENE_TILES = 1_000
PAUSE_S = 1.0
COUNT = "import sys; from rsitr.cli.app import run; run(tell=lambda _: print(len(sys.modules), file=sys.stderr))"


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians of a command's runs, and what is claimed of the wall time."""

    what: str
    wall_s: float
    processor_s: float
    claim_s: float
    modules: int | None
    load: float

    @property
    def is_busy(self) -> bool:
        """Whether others wanted the cores, too."""
        return self.load > (os.cpu_count() or 1)

    def __str__(self) -> str:
        """One line."""
        modules = "" if self.modules is None else f", {self.modules} modules"
        verdict = "" if self.is_held else "  BROKEN"
        verdict += f"  (load {self.load:.1f}: wall time not judged)" if self.is_busy else ""
        return (
            f"{self.what:<32} {self.wall_s:6.3f} s wall (claim {self.claim_s:g} s), "
            f"{self.processor_s:6.3f} s processor{modules}{verdict}"
        )

    @property
    def is_held(self) -> bool:
        """Whether the claim holds."""
        return (self.processor_s if self.is_busy else self.wall_s) <= self.claim_s


def make_tile(number: int, *, side: int) -> Tile:
    """A tile of 0.01 degrees: tiles fill a square grid over half the globe."""
    row, col = divmod(number, side)
    west, south = -90.0 + 180.0 * col / side, -60.0 + 120.0 * row / side
    east, north = west + 0.01, south + 0.01
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    window = (224 * (number % 32), 224 * (number % SCENE_TILES // 32), 224, 224)
    scene = f"{number // SCENE_TILES:06d}.tif"
    return Tile(f"{scene}:{window[0]},{window[1]}", scene, window, ring, (west, south, east, north), gsd_m=5.0)


def make_index(folder: Path, *, n: int) -> None:
    """An index of n tiles with random vectors, as the default model's."""
    encoder = load_encoder()
    vectors = np.random.default_rng(0).standard_normal((n, encoder.dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tiles = [make_tile(number, side=int(np.ceil(np.sqrt(n)))) for number in range(n)]
    entries = [SceneEntry(scene, 1, 1, (7168, 7168), SCENE_TILES, 0) for scene in dict.fromkeys(t.scene for t in tiles)]
    with ExitStack() as held:
        folder.mkdir()
        manifest = Manifest.create(folder, encoder=encoder, settings=Settings(), root=folder.parent)
        index = create_index(folder, manifest, held=held)
        index.store.put(entries, tiles, vectors)
        index.store.tidy()


def run(line: Sequence[str], environment: Mapping[str, str], *, code: Sequence[str] = ("-m", "rsitr")) -> str:
    """Run a command line; what it said on standard error."""
    done = subprocess.run([sys.executable, *code, *line], env=environment, capture_output=True, text=True, check=True)
    return done.stderr


def measure(
    what: str, line: Sequence[str], environment: Mapping[str, str], *, runs: int, claim_s: float, pause_s: float = 0.0
) -> Measured:
    """Medians over some runs, after one that does not count."""
    walls, processor = [], []
    is_warm = pause_s > 0
    run(line, environment)
    for _ in range(runs):
        time.sleep(pause_s)  # as a person reads an answer; the next worker is made meanwhile
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        run(line, environment)
        walls.append(time.perf_counter() - begun)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    modules = None if is_warm else int(run(line, environment, code=("-c", COUNT)).split()[-1])
    return Measured(what, statistics.median(walls), statistics.median(processor), claim_s, modules, os.getloadavg()[0])


def main() -> None:
    """Print all, and whether the claims hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tiles", type=int, default=10_000)
    options = parser.parse_args()
    runs = options.runs
    found: list[Measured] = []

    def show(measured: Measured) -> None:
        found.append(measured)
        print(measured, flush=True)

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        index = place / "tiles.index"
        make_index(index, n=options.tiles)
        (place / "run").mkdir(mode=0o700)
        compiled = {**os.environ, "XDG_RUNTIME_DIR": f"{place}/run", "COLUMNS": "120"}
        compiled.pop("PYTHONDONTWRITEBYTECODE", None)
        shutil.copytree(Path(rsitr.__file__).parent, place / "bare" / "rsitr", ignore=shutil.ignore_patterns("*.pyc"))
        bare = {**compiled, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": f"{place}/bare"}
        info, search = ["info", str(index)], ["search", str(index), "a river"]
        print(
            f"rsitr {rsitr.__version__}, {options.tiles:,} tiles, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        show(measure("--help", ["--help"], compiled, runs=runs, claim_s=0.4))
        show(measure("info", info, compiled, runs=runs, claim_s=0.5))
        show(measure("search", search, compiled, runs=runs, claim_s=1.2))
        show(measure("info, no bytecode", info, bare, runs=runs, claim_s=1.0))
        show(measure("search, no bytecode", search, bare, runs=runs, claim_s=2.5))
        run(["up", str(index)], compiled)
        try:
            show(measure("search, warm", search, compiled, runs=runs, claim_s=0.15, pause_s=PAUSE_S))
            show(measure("info, warm", info, compiled, runs=runs, claim_s=0.15, pause_s=PAUSE_S))
        finally:
            run(["down", str(index)], compiled)
    sys.exit(0 if all(measured.is_held for measured in found) else 1)


if __name__ == "__main__":
    main()
