"""Claim: two processes on two cores answer 1.7 times what one on one core does, and renewing them loses no request.

    python benchmarks/service_processes.py [--seconds 30] [--clients 50] [--rows 100000] [--rounds 3]

An index of `--rows` tiles with random vectors, made for the packaged model, is served twice: by one process that may
use one core alone, and by two processes that may use two. The clients share the cores of whom they ask, so that both
are measured with all that answering costs. They ask as fast as they are answered, each a different query, in turns of
`--seconds`, `--rounds` times each. Then `--clients` clients ask the two processes while these are renewed (SIGHUP),
on connections that stay open until an answer ends them, as browsers and proxies do. Status 1 if a target is missed:
1.7 times; every request answered, each with 200 (no other status, no connection lost), by two new processes.
On a busy machine the ratio is what its other work leaves: what a second of the processors answers is printed as well.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as `rsitr serve` sets it for itself

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rsitr.defaults import DEFAULT_MODEL
from service_load import K, Server, ask, make_body, make_index

LEAST_RATIO = 1.7
PATIENCE_S = 300.0
LONGER_S = 2.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Seen:
    """What clients saw."""

    answered: int = 0
    times_s: list[float] = field(default_factory=list)
    reopened: int = 0
    wrong: list[str] = field(default_factory=list)


async def run_client(number: int, port: int, seen: Seen, stop: asyncio.Event) -> None:
    """Ask until it is enough; a connection is opened anew only where an answer has ended it."""
    chance = random.Random(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = 0
    while not stop.is_set():
        asked += 1
        begun = time.perf_counter()
        try:
            made = ask(reader, writer, make_body(chance), f"{number}-{asked}")
            status, headers, content = await asyncio.wait_for(made, timeout=PATIENCE_S)
        except (OSError, EOFError, TimeoutError) as error:
            seen.wrong.append(f"{number}-{asked}: {type(error).__name__} {error}")
            return
        if status != 200 or len(json.loads(content)["hits"]) != K:
            seen.wrong.append(f"{number}-{asked}: {status} {content[:200]!r}")
        seen.answered += 1
        seen.times_s.append(time.perf_counter() - begun)
        if headers.get("connection") == "close":
            seen.reopened += 1
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def run_clients(port: int, *, clients: int, seconds: float) -> Seen:
    """All at once, for a while."""
    seen, stop = Seen(), asyncio.Event()
    tasks = [asyncio.create_task(run_client(number, port, seen, stop)) for number in range(clients)]
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*tasks)
    return seen


def members_of(server: Server) -> list[int]:
    """The ids of its processes: its children, or itself."""
    path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in path.read_text(encoding="ascii").split()] or [server.process.pid]


def cpu_s(pids: list[int]) -> float:
    """Seconds of processors that processes have used."""
    used = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / TICKS_PER_S


def memory_mb(pid: int) -> tuple[float, float]:
    """What a process holds, and what of it would go with it: what several hold together is divided among them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    sizes = {name: int(size.split()[0]) / 1e3 for name, _, size in (line.partition(":") for line in lines)}
    return sizes["Rss"], sizes["Pss"]


def wait_for_all(server: Server, n: int) -> None:
    """Wait until all of its processes are ready, as `/metrics` counts them."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
            if f"\nrsitr_ready {n}.0\n" in answer.read().decode():
                return
        time.sleep(0.2)
    raise SystemExit("not all processes became ready")


def compare(one: Server, two: Server, options: argparse.Namespace, cores: list[int]) -> tuple[float, str]:
    """How many times as much two processes answer; and all that was measured."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    per_cpu_s: dict[int, list[float]] = {1: [], 2: []}
    wrong: list[str] = []
    for number in range(options.rounds + 1):
        for n, server in ((1, one), (2, two)):
            os.sched_setaffinity(0, cores[:n])
            pids = members_of(server)
            begun, used = time.perf_counter(), cpu_s(pids)
            seconds = options.seconds if number else min(5.0, options.seconds)  # the first is for warming up
            seen = asyncio.run(run_clients(server.port, clients=options.clients, seconds=seconds))
            wrong += seen.wrong
            if number:
                rates[n].append(seen.answered / (time.perf_counter() - begun))
                per_cpu_s[n].append(seen.answered / (cpu_s(pids) - used))
    medians = {n: float(np.median(found)) for n, found in rates.items()}
    ratio = medians[2] / medians[1]
    said = ", ".join(
        f"{n} process{'es' if n > 1 else ''} on {n} core{'s' if n > 1 else ''} {medians[n]:.1f} per s "
        f"({', '.join(f'{rate:.1f}' for rate in rates[n])}; {np.median(per_cpu_s[n]):.1f} per second of processors)"
        for n in rates
    )
    for line in wrong[:5]:
        print(line)
    return (0.0 if wrong else ratio), f"{said}: {ratio:.2f} times; {len(wrong)} wrong"


async def renew(server: Server, *, clients: int) -> tuple[Seen, float]:
    """What clients see while all processes are renewed, and how long that took."""
    old = members_of(server)
    seen, stop = Seen(), asyncio.Event()
    tasks = [asyncio.create_task(run_client(number, server.port, seen, stop)) for number in range(clients)]
    await asyncio.sleep(LONGER_S)
    begun = time.perf_counter()
    server.process.send_signal(signal.SIGHUP)
    while set(members_of(server)) & set(old) and time.perf_counter() - begun < PATIENCE_S:
        await asyncio.sleep(0.2)
    took_s = time.perf_counter() - begun
    await asyncio.sleep(LONGER_S)
    stop.set()
    await asyncio.gather(*tasks)
    if set(members_of(server)) & set(old):
        seen.wrong.append("the old processes are still there")
    return seen, took_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("this needs two cores")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        index = Path(name) / "index"
        make_index(index, rows=options.rows, model=DEFAULT_MODEL)
        os.sched_setaffinity(0, cores[:1])
        one = Server(index, Path(name) / "one.log", "--workers", "1")
        os.sched_setaffinity(0, cores)
        two = Server(index, Path(name) / "two.log", "--workers", "1", "--processes", "2")
        try:
            wait_for_all(two, 2)
            ratio, said = compare(one, two, options, cores)
            held = [memory_mb(pid) for pid in members_of(two)]
            above = memory_mb(two.process.pid)
            os.sched_setaffinity(0, cores)
            seen, took_s = asyncio.run(renew(two, clients=options.clients))
        finally:
            statuses = [one.stop(), two.stop()]
        logs = "".join((Path(name) / f"{which}.log").read_text(encoding="utf-8") for which in ("one", "two"))
    shown = ", ".join(f"{rss:.0f} MB ({pss:.0f} its share)" for rss, pss in held)
    longest, median = (1e3 * float(found(seen.times_s or [0.0])) for found in (np.max, np.median))
    print(
        f"{options.rows:,} tiles, {options.clients} clients, turns of {options.seconds:g} s, load before {load:.1f}: "
        f"{said}; memory of each of two: {shown}, of what watches them {above[0]:.0f} MB ({above[1]:.0f}); renewed in "
        f"{took_s:.1f} s under {options.clients} clients: {seen.answered:,} answered, {seen.reopened} connections "
        f"ended by an answer, {len(seen.wrong)} lost or wrong, the longest {longest:.0f} ms (median {median:.0f}); "
        f"exit status {statuses}"
    )
    for line in seen.wrong[:5]:
        print(line)
    sound = not seen.wrong and statuses == [0, 0] and "Traceback" not in logs
    sys.exit(0 if sound and ratio >= LEAST_RATIO else 1)


if __name__ == "__main__":
    main()
