"""`rsitr-index.json`: what an index is made of and by, so that nothing is mixed that does not fit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rsitr.errors import ConfigError, StoreError
from rsitr.files import name_from
from rsitr.index.home import refresh, send
from rsitr.index.names import MANIFEST
from rsitr.version import __version__

if TYPE_CHECKING:
    from rsitr.types import Encoder, TileCoder

__all__ = [
    "FORMAT",
    "MANIFEST",
    "CodeRecord",
    "Manifest",
    "ModelRecord",
    "RootRecord",
    "Settings",
    "encoding_of",
    "make_settings",
    "read_manifest",
    "record_code",
    "write_manifest",
]

FORMAT: Literal[1] = 1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelRecord(_Record):
    """The model whose vectors are in the index.

    Attributes:
        name: of the model.
        fingerprint: of its weights and settings.
        dim: width of its vectors.
        image_size_px: side of the picture it sees; 0 where that is not known.
        encoding: how pictures were encoded at first, if the model says so.
        later_encodings: how else, where a later run could not or was not to do it like that.
        is_foreign: its vectors came from elsewhere, and nothing here is known to make the like of them, neither of
            words nor of pictures. Its fingerprint is then that of its name and width.
    """

    name: str
    fingerprint: str
    dim: int = Field(gt=0)
    image_size_px: int = Field(ge=0)
    encoding: str | None = None
    later_encodings: tuple[str, ...] = ()
    is_foreign: bool = False

    @classmethod
    def foreign(cls, name: str, *, dim: int) -> ModelRecord:
        """A model that is known by its name alone."""
        digest = hashlib.sha256(f"embeddings of {dim} numbers by {name}".encode()).hexdigest()
        return cls(name=name, fingerprint=digest, dim=dim, image_size_px=0, is_foreign=True)

    @classmethod
    def of(cls, encoder: Encoder) -> ModelRecord:
        """What is recorded of an encoder."""
        return cls(
            name=encoder.name,
            fingerprint=encoder.fingerprint,
            dim=encoder.dim,
            image_size_px=encoder.image_size_px,
            encoding=encoding_of(encoder),
        )

    @property
    def encodings(self) -> tuple[str, ...]:
        """All ways in which pictures were encoded, the first one first."""
        return (*([self.encoding] if self.encoding else []), *self.later_encodings)


class Settings(_Record):
    """How scenes are cut and shown.

    Attributes:
        tile_px: side of a tile in pixels; None: by `tile_m`, or as `geo.choose_tile_px` chooses per scene.
        tile_m: side of a tile in metres on the ground.
        overlap: part of a tile's side shared with its neighbour.
        scales: tiles are cut in so many times these sizes, one after another.
        bands: what is shown as red, green and blue, or as grey; None: what the file says, or its first.
        page: of files of several images, counted from 1; None: the first.
        min_valid: a tile with a smaller share of data is left out.
    """

    tile_px: int | None = Field(default=None, ge=16)
    tile_m: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    overlap: float = Field(default=0.0, ge=0.0, le=0.9)
    scales: tuple[Annotated[float, Field(gt=0, le=64)], ...] = Field(default=(1.0,), min_length=1, max_length=8)
    bands: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    page: int | None = Field(default=None, ge=1)
    min_valid: float = Field(default=0.5, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if self.tile_px is not None and self.tile_m is not None:
            raise ValueError("a tile is so many pixels or so many metres wide, not both")
        if self.bands is not None and len(self.bands) not in {1, 3}:
            raise ValueError("three bands are shown as red, green and blue, one as grey; give one or three")
        return self


class CodeRecord(_Record):
    """The code that is kept of each tile beside its vector, for a second stage of ranking."""

    length: int = Field(gt=0)
    fingerprint: str


class RootRecord(_Record):
    """The folder that scene paths are relative to: seen from the index, and, should only the index move, absolute."""

    relative: str
    absolute: str


class Manifest(_Record):
    """All of the file."""

    format: Literal[1] = FORMAT
    created_with: str = f"rsitr {__version__}"
    model: ModelRecord
    settings: Settings
    root: RootRecord
    code: CodeRecord | None = None
    engine: str = "lance"
    made_of: Literal["scenes", "embeddings"] = "scenes"

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        encoder: Encoder,
        settings: Settings,
        root: Path,
        code: CodeRecord | None = None,
        engine: str = "lance",
    ) -> Manifest:
        """The manifest of a new index in a folder."""
        model = ModelRecord.of(encoder)
        return cls(model=model, settings=settings, root=_record_root(folder, root), code=code, engine=engine)

    @classmethod
    def of_embeddings(cls, folder: Path, *, model: ModelRecord, settings: Settings, root: Path) -> Manifest:
        """The manifest of a new index that embeddings are taken into."""
        return cls(model=model, settings=settings, root=_record_root(folder, root), made_of="embeddings")

    @property
    def code_length(self) -> int:
        """Numbers in a tile's code; 0 where none is kept."""
        return 0 if self.code is None else self.code.length

    def with_root(self, folder: Path, root: Path) -> Manifest:
        """The same, for an archive that lies elsewhere now."""
        return self.model_copy(update={"root": _record_root(folder, root)})

    def with_encoding(self, encoding: str) -> Manifest:
        """The same, with one more way in which pictures were encoded."""
        later = (*self.model.later_encodings, encoding)
        return self.model_copy(update={"model": self.model.model_copy(update={"later_encodings": later})})

    def find_root(self, folder: Path, *, known: Callable[[], Sequence[str]] = tuple) -> Path:
        """The folder of the scenes: as seen from here (index and archive may have moved together), or as it was.

        Where both are folders, the known scenes decide: as seen from here, unless far more of them lie where they lay.

        Args:
            folder: the index.
            known: gives some of its scenes that are files; called only if both are folders.
        """
        near, recorded = (folder / self.root.relative).resolve(), Path(self.root.absolute)
        if near == recorded or (not recorded.is_dir() and not near.is_dir()):
            return recorded
        scenes = known()
        if not scenes:
            return near if near.is_dir() else recorded
        here, there = (sum((root / scene).is_file() for scene in scenes) for root in (near, recorded))
        return near if 2 * here >= max(1, there) else recorded

    def check_encoder(self, encoder: Encoder, *, folder: Path) -> None:
        """Raises StoreError unless the encoder's vectors are comparable with those in the index."""
        if encoder.fingerprint == self.model.fingerprint:
            return
        if encoder.name == self.model.name:
            what = f"another version of the model {self.model.name!r} (fingerprint {self.model.fingerprint[:12]}, "
            what += f"this one has {encoder.fingerprint[:12]})"
        else:
            what = f"the model {self.model.name!r}, not by {encoder.name!r}"
        raise StoreError(
            f"{folder}: this index was made by {what}; their vectors cannot be compared: use that model, or make a new "
            "index with `rsitr index SCENES --into NEW_INDEX`"
        )

    def check_made_of(self, what: Literal["scenes", "embeddings"], *, folder: Path) -> None:
        """Raises StoreError for an index that takes scenes where it is to take embeddings, or the other way round."""
        if self.made_of != what:
            raise StoreError(
                f"{folder}: this index was made of {self.made_of}, and takes no {what}; name another --into"
            )

    def check_settings(self, given: Settings, *, folder: Path) -> None:
        """Raises StoreError unless the settings that were given are those of the index."""
        for name in sorted(given.model_fields_set):
            asked, recorded = getattr(given, name), getattr(self.settings, name)
            if asked != recorded:
                made_with = "auto" if recorded is None else recorded
                raise StoreError(
                    f"{folder}: this index was made with {name}={made_with}, not {asked}; "
                    "leave the option out, or make a new index"
                )

    def check_code(self, code: CodeRecord | None, *, folder: Path) -> None:
        """Raises StoreError unless the tiles' codes are those of the index."""
        if code != self.code:
            kept = "no local codes" if self.code is None else f"the local code {self.code.fingerprint[:12]}"
            raise StoreError(f"{folder}: this index keeps {kept} of its tiles; use the same, or make a new index")


def encoding_of(encoder: Encoder) -> str | None:
    """How an encoder encodes pictures; None where it does not say: not all that encodes has several ways to."""
    found: str | None = getattr(encoder, "image_path", None)
    return found


def make_settings(**given: Any) -> Settings:
    """Settings of those that are not None.

    Raises:
        ConfigError: one is impossible.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        text = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise ConfigError(text) from error
        raise ConfigError(f"{first['loc'][0]}: {text.lower()}, not {first['input']}") from error


def record_code(coder: TileCoder | None) -> CodeRecord | None:
    """What is recorded of the codes that a coder makes."""
    return None if coder is None else CodeRecord(length=coder.length, fingerprint=coder.fingerprint)


def read_manifest(folder: Path) -> Manifest:
    """Read an index's manifest.

    Raises:
        StoreError: the folder is missing or no index, or the file is damaged or of a newer format; or where the index
            lies cannot be reached.
    """
    refresh(folder)
    file = folder / MANIFEST
    if not folder.exists():
        raise StoreError(f"{folder}: no such index; make it with `rsitr index SCENES --into {folder}`")
    if not file.is_file():
        raise StoreError(
            f"{folder}: this is no index ({MANIFEST} is missing); `rsitr index SCENES --into INDEX` makes one"
        )
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise StoreError(
            f"{file}: not readable by rsitr {__version__} ({where}: {first['msg']}); "
            "update rsitr, or delete the index and make it again"
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, whole or not at all."""
    content = (manifest.model_dump_json(indent=2) + "\n").encode()
    send(folder, MANIFEST, content)
    temporary = folder / f".{MANIFEST}.{os.getpid()}"
    temporary.write_bytes(content)
    temporary.replace(folder / MANIFEST)


def _record_root(folder: Path, root: Path) -> RootRecord:
    absolute = root.resolve()
    return RootRecord(relative=name_from(absolute, folder=folder.resolve()), absolute=absolute.as_posix())
