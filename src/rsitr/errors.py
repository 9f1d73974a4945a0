"""The errors this package raises on purpose.

Every message says what was wrong, where, and what to do about it: it is shown to people as it is, without a traceback,
and the command ends with status 2.

    RsitrError
    ├── ConfigError    a config file or setting is wrong (unknown key, wrong type, impossible value)
    ├── DataError      a caption data set is missing, malformed, or lacks what was asked of it
    ├── ModelError     a model or checkpoint cannot be found, read or trusted
    ├── SceneError     an image or raster cannot be used
    ├── StoreError     an index is missing, damaged, locked, or made by another model
    │   └── MissingError   a tile or scene that is asked for is not in the index
    └── QueryError     a search query or filter makes no sense
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DataError",
    "MissingError",
    "ModelError",
    "QueryError",
    "RsitrError",
    "SceneError",
    "StoreError",
]


class RsitrError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(RsitrError):
    """A config file or a setting is wrong."""


class DataError(RsitrError):
    """A caption data set is missing or malformed, or lacks what was asked of it."""


class ModelError(RsitrError):
    """A model or checkpoint cannot be found, read or trusted."""


class SceneError(RsitrError):
    """An image or raster cannot be used."""


class StoreError(RsitrError):
    """An index is missing, damaged, locked, or was made by another model."""


class MissingError(StoreError):
    """A tile or scene that is asked for is not in the index."""


class QueryError(RsitrError):
    """A search query or filter makes no sense."""
