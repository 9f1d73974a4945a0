"""What a run leaves behind while it runs: a JSONL log and TensorBoard events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

__all__ = ["BOARD_FOLDER", "LOG_FILE", "Journal"]

LOG_FILE, BOARD_FOLDER = "log.jsonl", "tensorboard"


class Journal:
    """Appends to `log.jsonl` and to TensorBoard events in one folder."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / LOG_FILE).open("a", encoding="utf-8", buffering=1)
        self._board = SummaryWriter(folder / BOARD_FOLDER)

    def write(self, kind: str, step: int, values: Mapping[str, float | int | None]) -> None:
        """Note values of one kind (`train`, `val`) at a step."""
        self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        for name, value in values.items():
            if value is not None:
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._board.close()
