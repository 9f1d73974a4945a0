"""Runs what a plan of trainings lacks, one after another, and goes on where it was interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsitr.ablation.grid import Measure, Training
from rsitr.ablation.record import RECORD_FOLDER, Results, RunRecord, read_record, write_record
from rsitr.data.collection import load_sets
from rsitr.errors import ConfigError
from rsitr.rerank import parse_rerank
from rsitr.training.runs import Run, build_run
from rsitr.training.state import STATE_FILE, Position

__all__ = ["Progress", "load_records", "run_trainings"]

FEATURE_FOLDER = "features"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Who wants to know how far an ablation is; every field may stay as it is.

    Attributes:
        started: called with a training before its run starts.
        cached: progress of the features of a frozen trunk: done, total.
        hashed: progress of the search for duplicate pictures: done, total.
        stepped: after each step: position, steps of the epoch, loss.
        finished: called with a training and its record once it is measured.
    """

    started: Callable[[Training], None] = lambda _training: None
    cached: Callable[[int, int], None] = lambda _done, _total: None
    hashed: Callable[[int, int], None] = lambda _done, _total: None
    stepped: Callable[[Position, int, float], None] = lambda _position, _steps, _loss: None
    finished: Callable[[Training, RunRecord], None] = lambda _training, _record: None


def load_records(trainings: Sequence[Training], *, into: Path) -> dict[str, RunRecord]:
    """The records there are that answer everything a training is asked, by its key."""
    found = {}
    for training in trainings:
        record = read_record(into, key=training.key)
        if record is not None and set(training.measures) <= record.measured.keys():
            found[training.key] = record
    return found


def run_trainings(
    trainings: Sequence[Training],
    *,
    into: Path,
    specs: Sequence[str] = (),
    root: Path | None = None,
    device: str,
    provenance: Mapping[str, str],
    keep_models: bool = False,
    progress: Progress = Progress(),
) -> dict[str, RunRecord]:
    """Train and measure what has no record yet.

    A run's final weights are measured, not those of its best epoch: choosing among epochs on the split that is reported
    would favour what fluctuates most.

    Args:
        trainings: from :func:`plan_trainings`.
        into: folder for the records, the runs, and the features of the frozen trunk, which all runs share.
        specs: data sets as `NAME:FOLDER`; others are looked for under `root`.
        root: folder of data sets and of `init/`.
        device: where to train.
        provenance: command, version and commit, for the records.
        keep_models: keep each run's state and best model; otherwise its logs alone stay.
        progress: who wants to know.

    Returns:
        The records of all trainings, by key.

    Raises:
        Interrupted: the process was asked to stop; the next call goes on.
        ConfigError: records in `into` are of other data, or a config cannot be trained.
        DataError, ModelError: data or initial weights are missing.
    """
    records = load_records(trainings, into=into)
    if len(records) == len(trainings):
        return records
    sets = load_sets(trainings[0].config.data.sets, given=specs, root=root, user=trainings[0].config.name)
    data_sha256 = {dataset.name: dataset.sha256 for dataset in sets}
    for record in records.values():
        if any(data_sha256.get(name, digest) != digest for name, digest in record.data_sha256.items()):
            raise ConfigError(f"{into} holds runs on other data than these; name another folder")
    for training in trainings:
        if training.key in records:
            continue
        progress.started(training)
        run = build_run(
            training.config,
            specs=specs,
            root=root,
            folder=into / RECORD_FOLDER / training.key,
            device=device,
            provenance=dict(provenance),
            cache_folder=into / FEATURE_FOLDER,
            on_cache=progress.cached,
            on_hash=progress.hashed,
            report=progress.stepped,
        )
        position = _train(run)
        earlier = read_record(into, key=training.key)
        asked_before = () if earlier is None else tuple(earlier.measured)
        record = RunRecord(
            key=training.key,
            seconds=round(position.seconds, 1),
            data_sha256={dataset.name: dataset.sha256 for dataset in run.sets},
            measured=_measure(run, dict.fromkeys((*asked_before, *training.measures))),
            provenance=provenance,
        )
        write_record(record, training=training, into=into)
        if not keep_models:
            (run.folder / STATE_FILE).unlink()
            shutil.rmtree(run.folder / "best", ignore_errors=True)
        records[training.key] = record
        progress.finished(training, record)
    return records


def _train(run: Run) -> Position:
    try:
        return run.trainer.run(resume=(run.folder / STATE_FILE).is_file())
    except ConfigError as error:
        raise ConfigError(f"{error} (here: remove {run.folder} and run the same command again)") from error


def _measure(run: Run, measures: Iterable[Measure]) -> dict[Measure, Results]:
    wanted = list(measures)
    found = run.measure_validation(
        [(entry.mixture, None if entry.rerank is None else parse_rerank(entry.rerank)) for entry in wanted]
    )
    return {
        entry: {name: result.as_dict() for name, result in each.items()}
        for entry, each in zip(wanted, found, strict=True)
    }
