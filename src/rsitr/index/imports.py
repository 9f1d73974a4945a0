"""`embeddings.json`: which files of embeddings are in an index, so that none is taken twice, nor half of one kept."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from rsitr.errors import StoreError
from rsitr.files import write_file
from rsitr.index.names import IMPORTS

__all__ = ["ImportedFile", "Imports", "read_imports"]


class ImportedFile(BaseModel):
    """What an index remembers of a file of embeddings.

    Attributes:
        size_bytes: when it was read.
        mtime_ns: its time of change then.
        scenes: names of its scenes.
        n_tiles: rows that became tiles.
        bad: rows that could not be used, in words.
        is_done: all of it is there; else it is taken out and read again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int
    mtime_ns: int
    scenes: tuple[str, ...]
    n_tiles: int = 0
    n_bad: int = 0
    bad: str = ""
    is_done: bool = False


class Imports(BaseModel):
    """The files that are in an index, by name."""

    model_config = ConfigDict(extra="forbid")

    files: dict[str, ImportedFile] = {}

    def write(self, folder: Path) -> None:
        """Write it into the folder of an index, whole or not at all."""
        write_file(folder / IMPORTS, self.model_dump_json(indent=1) + "\n", error=StoreError)


def read_imports(folder: Path) -> Imports:
    """The files of embeddings that are in the index in a folder.

    Raises:
        StoreError: the record of them is damaged.
    """
    file = folder / IMPORTS
    if not file.is_file():
        return Imports()
    try:
        return Imports.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise StoreError(f"{file}: is damaged; delete the index and make it again") from error
