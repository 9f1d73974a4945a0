"""How an index is named on the command line: by its folder, or by where it lies elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["IndexPlace", "find_place", "say"]


def find_place(text: str | Path) -> Path:
    """The folder of an index that is named; raises StoreError for an address that no index can have."""
    from rsitr.index.address import find_index

    return find_index(text)


def say(index: Path) -> str:
    """An index as a person would name it."""
    from rsitr.index.address import spell

    return spell(str(index))


IndexPlace = Annotated[
    Path,
    typer.Argument(
        metavar="INDEX",
        help="Folder of the index, or s3://bucket/prefix, milvus://host:19530/collection.",
        parser=find_place,
    ),
]
"""The index that a command is about."""
