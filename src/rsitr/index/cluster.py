"""A Ray cluster to encode on: which one, what it is asked for, how it is reached, and what is wrong with it."""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from rsitr.errors import ConfigError
from rsitr.extras import need
from rsitr.types import Encoder
from rsitr.version import __version__

__all__ = [
    "Cluster",
    "Node",
    "check_nodes",
    "connect",
    "count_encoders",
    "explain_wait",
    "last_line",
    "list_nodes",
    "parse_engine",
]

WAIT_S = 120.0
WAIT_VARIABLE = "RSITR_RAY_WAIT_S"
ANSWER_S = 10.0
CLIENT_TRIES = 3
CLIENTS = ":10001"  # where Ray's server for clients listens unless it is told otherwise
HEAD = "node:__internal_head__"
_ADDRESS = re.compile(r"\[?[\w.:-]+\]?:\d{1,5}")


def _read_wait() -> float:
    named = os.environ.get(WAIT_VARIABLE)
    if named is None:
        return WAIT_S
    try:
        wait_s = float(named)
    except ValueError:
        wait_s = math.nan
    if not 0 < wait_s < math.inf:
        raise ConfigError(f"{WAIT_VARIABLE} is how many seconds a cluster may be silent, above 0, not {named!r}")
    return wait_s


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where to encode, and what is asked for there.

    Encoders and readers together ask for less than there is, so that neither keeps the other from running.

    Attributes:
        load: gives the encoder; called in every process that encodes, so that all of it has to be there, too.
        address: `host:port` of a cluster, of its first node or of its server for clients; None: one on this machine,
            which ends with the work.
        encoder_cpus: that an encoder process asks for; it computes with as many threads, at least one.
        reader_cpus: that a read task asks for.
        retries: how often what has failed, or was lost, is tried again.
        wait_s: after so many seconds without anything coming something is wrong; `RSITR_RAY_WAIT_S` says otherwise.
    """

    load: Callable[[], Encoder]
    address: str | None = None
    encoder_cpus: float = 0.75
    reader_cpus: float = 0.25
    retries: int = 2
    wait_s: float = field(default_factory=_read_wait)

    @property
    def name(self) -> str:
        """For messages."""
        return f"the Ray cluster at {self.address}" if self.address else "Ray on this machine"


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive: its id, its address, and its CPUs."""

    node: str
    address: str
    cpus: float
    is_head: bool


def parse_engine(text: str) -> str | None:
    """The address in `ray` or `ray://HOST:PORT`.

    >>> parse_engine("ray"), parse_engine("ray://10.0.0.1:6379")
    (None, '10.0.0.1:6379')

    Raises:
        ConfigError: it is neither.
    """
    if text == "ray":
        return None
    address = text.removeprefix("ray://")
    if address == text or not _ADDRESS.fullmatch(address):
        raise ConfigError(
            f"there is no engine {text!r}: use local, ray, or ray://HOST:PORT with the address that `ray start --head` "
            "prints (port 6379), or that of its server for clients (port 10001)"
        )
    return address


@contextmanager
def connect(cluster: Cluster) -> Iterator[None]:
    """Be connected with a cluster, made for the occasion if it has no address. One that is in use already is kept.

    Raises:
        ConfigError: Ray is not installed, or nobody answers at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before its import: it would report to its makers
    need("ray", what="--engine ray")
    import ray

    if ray.is_initialized():
        yield
        return
    with ExitStack() as held:
        try:
            with warnings.catch_warnings():
                # Ray forks to start its processes, which become other programs at once.
                warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
                _start(cluster, held)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise ConfigError(f"{cluster.name} cannot be used: {_first_line(error)}") from error
        yield


def _start(cluster: Cluster, held: ExitStack) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if cluster.address is not None:
        _require_answer(cluster.address)
        is_for_clients = cluster.address.endswith(CLIENTS) or not _is_first_node(cluster.address)
        held.callback(ray.shutdown)
        if is_for_clients:
            _start_client(f"ray://{cluster.address}", quiet)
        else:
            ray.init(cluster.address, **quiet)
        return
    # In a folder that goes with it. Its path has to be short: sockets lie in it.
    folder = held.enter_context(tempfile.TemporaryDirectory(prefix="rsitr-ray-", ignore_cleanup_errors=True))
    held.callback(ray.shutdown)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ray.init("local", num_cpus=cpus, include_dashboard=False, _temp_dir=folder, **quiet)


def _start_client(address: str, quiet: dict[str, Any]) -> None:
    """Connect through the server for clients, which gives a busy host 30 seconds to start a process for each."""
    import ray

    for left in reversed(range(CLIENT_TRIES)):
        try:
            ray.init(address, **quiet)
            return
        except ConnectionError:
            if not left:
                raise


def _require_answer(address: str) -> None:
    """Raises OSError if nobody listens there, for which Ray would take a minute."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S):
        pass


def _is_first_node(address: str) -> bool:
    """Whether it is a cluster's first node that listens there, and not its server for clients."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined] # there is no public way to ask

    try:
        GcsClient(address=address)
    except Exception:  # of whatever kind: what does not answer like one is none
        return False
    return True


def list_nodes() -> list[Node]:
    """The nodes of the cluster that are alive."""
    import ray

    return [
        Node(
            node["NodeID"],
            node["NodeManagerAddress"],
            float(node["Resources"].get("CPU", 0.0)),
            HEAD in node["Resources"],
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def count_encoders(cluster: Cluster) -> int:
    """Encoder processes for which there is room beside a reader for each.

    Raises:
        ConfigError: there is room for none.
    """
    nodes = list_nodes()
    each = cluster.encoder_cpus + cluster.reader_cpus
    count = sum(int(node.cpus / each + 1e-6) for node in nodes)
    apart = any(node.cpus >= cluster.encoder_cpus for node in nodes) and sum(node.cpus for node in nodes) >= each
    if not count and not apart:
        raise ConfigError(
            f"{cluster.name} has too few CPUs: {_describe_cpus(nodes)}, but an encoder asks for "
            f"{cluster.encoder_cpus:g} on one node, and reading for {cluster.reader_cpus:g}. Without both, Ray would "
            "wait for ever. Add nodes, or start them with more (ray start --num-cpus)"
        )
    return max(1, count)


def check_nodes(cluster: Cluster, *, fingerprint: str) -> None:
    """Have every node say that it has this rsitr and this model.

    Args:
        cluster: that is connected.
        fingerprint: of the model.

    Raises:
        ConfigError: one has not.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked: dict[Any, Node] = {}
    nodes = list_nodes()
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node.node, soft=False)
        ask = ray.remote(_look).options(num_cpus=0, max_retries=1, scheduling_strategy=there)
        asked[ask.remote(cluster.load)] = node
    ready, silent = ray.wait(list(asked), num_returns=len(asked), timeout=cluster.wait_s)
    if not ready:
        raise ConfigError(f"no node of {cluster.name} has answered within {cluster.wait_s:.0f} s")
    problems = {asked[one].address: f"does not answer within {cluster.wait_s:.0f} s" for one in silent}
    lost = 0
    for one in ready:
        try:
            version, found = ray.get(one)
        except (ray.exceptions.NodeDiedError, ray.exceptions.WorkerCrashedError, ray.exceptions.TaskUnschedulableError):
            lost += 1  # it has died meanwhile, and will not be asked to encode
            continue
        except ray.exceptions.RayError as error:
            problems[asked[one].address] = f"cannot load rsitr or the model ({last_line(error)})"
            continue
        if version != __version__:
            problems[asked[one].address] = f"has rsitr {version}, not {__version__}"
        elif found != fingerprint:
            problems[asked[one].address] = "has another model of the same name"
    if problems or lost == len(asked):
        address, problem = next(iter(problems.items()), (nodes[0].address, "has died"))
        more = f", and {len(problems) - 1:,} more nodes likewise" if len(problems) > 1 else ""
        raise ConfigError(
            f"node {address} of {cluster.name} {problem}{more}: every node needs the same Python, rsitr and model"
        )


def _look(load: Callable[[], Encoder]) -> tuple[str, str]:
    return __version__, load().fingerprint


def explain_wait(cluster: Cluster, *, n_encoders: int, has_lost: bool) -> str:
    """Why nothing may have come for so long.

    Args:
        cluster: that is connected.
        n_encoders: that are wanted.
        has_lost: a node has died meanwhile.
    """
    import ray

    if has_lost:
        return f"a node of {cluster.name} has died, and nothing has come from the others since"
    free = float(ray.available_resources().get("CPU", 0.0))
    what = (
        f"nothing has come from {cluster.name} for {cluster.wait_s:g} s. It has {_describe_cpus(list_nodes())}, of "
        f"which {free:g} are free beside what runs there; wanted are {n_encoders} encoders with "
        f"{cluster.encoder_cpus:g} each, and {cluster.reader_cpus:g} for each scene that is read"
    )
    if free < cluster.encoder_cpus:
        return f"{what}. If that is somebody else's work, end it, or add nodes; Ray itself would wait for ever"
    return f"{what}. If a scene, or loading the model, takes that long, give it more time: {WAIT_VARIABLE}=600"


def _describe_cpus(nodes: list[Node]) -> str:
    return f"{sum(node.cpus for node in nodes):g} CPUs on {len(nodes):,} node{'s' if len(nodes) != 1 else ''}"


def last_line(error: BaseException) -> str:
    """What an error of Ray, which quotes a whole traceback, comes to."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
