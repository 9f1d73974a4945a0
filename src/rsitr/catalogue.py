"""Models that can be used by one short name: what they are, how large, under which licence, and where to get them.

Figures are those of model cards in this package, or of papers, which are named; nothing here was measured on a file
that was not at hand. No torch: a list is read in no time. `rsitr.models.shortnames` loads what is named here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from rsitr.defaults import DEFAULT_MODEL
from rsitr.extras import has_package
from rsitr.files import user_folder

__all__ = ["CATALOGUE", "STRONGER_MODEL", "KnownModel", "Measured", "find_known", "list_here", "models_folder"]

STRONGER_MODEL = "georsclip-vit-b-32-ret-2"
"""What is suggested where a packaged model finds nothing: of those with a published figure, the best of its size."""

BYTES_PER_PARAMETER = 4
PACKAGED = Path(__file__).parent / "models" / "weights"


@dataclass(frozen=True, slots=True)
class Measured:
    """Mean recall on a split of a data set, and who says so."""

    data: str
    split: str
    mR: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model by its short name.

    Attributes:
        name: what a person types.
        title: what its authors call it.
        form: `packaged`; `weights`, a file for an open_clip architecture; or `transformers`, a folder.
        licence: of the weights, as their publisher states it.
        stated_in: where that is stated.
        n_parameters: of both sides.
        architecture: open_clip's name, with the activation that the weights were trained with.
        repository: on the Hugging Face hub, whence it is fetched; None where that cannot be done.
        file: the weights, or within the repository; None where open_clip names it, or a folder is meant.
        address: where a person gets it.
        language: that its words are of (ISO 639); None where it understands several.
        measured: what is known.
    """

    name: str
    title: str
    form: Literal["packaged", "weights", "transformers"]
    licence: str
    stated_in: str
    n_parameters: int
    architecture: str | None = None
    repository: str | None = None
    file: str | None = None
    address: str = ""
    language: str | None = "en"
    measured: tuple[Measured, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Of its weights: the packaged files, or 32 bits for each parameter, as others are published."""
        if self.is_packaged:
            return sum(file.stat().st_size for file in (PACKAGED / self.name).rglob("*") if file.is_file())
        return self.n_parameters * BYTES_PER_PARAMETER

    @property
    def is_packaged(self) -> bool:
        """Whether it comes with rsitr."""
        return self.form == "packaged"

    @property
    def needs(self) -> tuple[str, ...]:
        """What has to be there beside rsitr itself."""
        if self.name == DEFAULT_MODEL:
            return ()
        if self.is_packaged:
            return ('pip install "rsitr[train]"',)
        weights = "its weights, from the hub or a local file" if self.repository else "its weights as a local file"
        return f'pip install "rsitr[{"transformers" if self.form == "transformers" else "train"}]"', weights

    @property
    def command(self) -> str:
        """How an index is made with it."""
        return f"rsitr index SCENES --into NEW.index --model {self.name}"

    @property
    def place(self) -> Path | None:
        """Where its file, or its folder, is looked for before the hub is asked; None for a packaged one."""
        if self.is_packaged:
            return None
        folder = models_folder() / self.name
        return folder if self.form == "transformers" else folder / Path(self.file or OPEN_CLIP_FILE).name


OPEN_CLIP_FILE = "open_clip_model.safetensors"
"""What repositories in open_clip's own layout call their weights."""


def models_folder() -> Path:
    """Where weights lie that a person has put there: RSITR_MODELS, or a folder of the user's cache (XDG)."""
    named = os.environ.get("RSITR_MODELS")
    return Path(named).expanduser() if named else user_folder("cache") / "models"


HUB = "https://huggingface.co"
EBAKER = "Ji et al., Eliminate Before Align (EBAKER), 2024, table 1"
CARD = "its card, `rsitr evaluate {} --data rsicd:FOLDER --split val` and the same with ucm"
RESEARCH = "for research: its training data ask for that (its card)"


def _packaged(name: str, *, n_parameters: int, rsicd: float, ucm: float) -> KnownModel:
    source = CARD.format(name)
    return KnownModel(
        name=name,
        title=f"{name}, packaged" + (", the default" if name == DEFAULT_MODEL else ""),
        form="packaged",
        licence=RESEARCH,
        stated_in=f"rsitr/models/weights/{name}/README.md",
        n_parameters=n_parameters,
        measured=(Measured("RSICD", "val", rsicd, source), Measured("UCM-Captions", "val", ucm, source)),
    )


def _openai(architecture: str, repository: str, *, n_parameters: int) -> KnownModel:
    return KnownModel(
        name=f"clip-{architecture.lower()}",
        title=f"OpenAI CLIP {architecture}",
        form="weights",
        licence="MIT",
        stated_in="https://github.com/openai/CLIP/blob/main/LICENSE",
        n_parameters=n_parameters,
        architecture=f"{architecture}-quickgelu",
        repository=repository,
        address=f"{HUB}/{repository}/resolve/main/{OPEN_CLIP_FILE}",
    )


def _remoteclip(architecture: str, *, n_parameters: int, measured: tuple[Measured, ...] = ()) -> KnownModel:
    file = f"RemoteCLIP-{architecture}.pt"
    return KnownModel(
        name=f"remoteclip-{architecture.lower()}",
        title=f"RemoteCLIP {architecture}",
        form="weights",
        licence="none stated",
        stated_in=f"{HUB}/chendelong/RemoteCLIP",
        n_parameters=n_parameters,
        architecture=f"{architecture}-quickgelu",
        repository="chendelong/RemoteCLIP",
        file=file,
        address=f"{HUB}/chendelong/RemoteCLIP/resolve/main/{file}",
        measured=measured,
    )


def _georsclip(
    name: str, file: str, architecture: str, *, n_parameters: int, measured: tuple[Measured, ...] = ()
) -> KnownModel:
    return KnownModel(
        name=name,
        title=f"GeoRSCLIP {file.removeprefix('RS5M_').removesuffix('.pt')}",
        form="weights",
        licence="Creative Commons (cc)",
        stated_in=f"{HUB}/Zilun/GeoRSCLIP",
        n_parameters=n_parameters,
        architecture=architecture,
        repository="Zilun/GeoRSCLIP",
        file=f"ckpt/{file}",
        address=f"{HUB}/Zilun/GeoRSCLIP/resolve/main/ckpt/{file}",
        measured=measured,
    )


def _skyclip(name: str, archive: str, architecture: str, *, n_parameters: int) -> KnownModel:
    return KnownModel(
        name=name,
        title=archive,
        form="weights",
        licence="MIT",
        stated_in="https://github.com/wangzhecheng/SkyScript/blob/main/LICENSE",
        n_parameters=n_parameters,
        architecture=architecture,
        file=f"{archive}/epoch_20.pt",
        address=f"https://opendatasharing.s3.us-west-2.amazonaws.com/SkyScript/ckpt/{archive}.zip",
    )


def _mobileclip(architecture: str, *, n_parameters: int) -> KnownModel:
    repository = f"timm/{architecture}-OpenCLIP"
    return KnownModel(
        name=architecture.lower(),
        title=architecture,
        form="weights",
        licence="Apple's licence for research models (apple-amlr)",
        stated_in=f"{HUB}/apple/{architecture}",
        n_parameters=n_parameters,
        architecture=architecture,
        repository=repository,
        address=f"{HUB}/{repository}/resolve/main/{OPEN_CLIP_FILE}",
    )


def _siglip(name: str, repository: str, *, n_parameters: int) -> KnownModel:
    return KnownModel(
        name=name,
        title=f"SigLIP 2 {repository.removeprefix('google/siglip2-')}",
        form="transformers",
        language=None,
        licence="Apache-2.0",
        stated_in=f"{HUB}/{repository}",
        n_parameters=n_parameters,
        repository=repository,
        address=f"{HUB}/{repository}",
    )


def _rsicd_rsitmd(rsicd: float, rsitmd: float) -> tuple[Measured, ...]:
    return Measured("RSICD", "test", rsicd, EBAKER), Measured("RSITMD", "test", rsitmd, EBAKER)


VIT_B_32, VIT_B_16, VIT_L_14, VIT_H_14, RN50 = 151_277_313, 149_620_737, 427_616_513, 986_109_441, 102_007_137

_LISTED = (
    _packaged("lookout", n_parameters=29_195_394, rsicd=24.05, ucm=55.09),
    _packaged("compact", n_parameters=16_082_694, rsicd=20.08, ucm=52.98),
    _georsclip(
        "georsclip-vit-b-32-ret-2", "RS5M_ViT-B-32_RET-2.pt", "ViT-B-32-quickgelu", n_parameters=VIT_B_32,
        measured=_rsicd_rsitmd(38.87, 51.81),
    ),
    _georsclip("georsclip-vit-b-32", "RS5M_ViT-B-32.pt", "ViT-B-32-quickgelu", n_parameters=VIT_B_32),
    _georsclip("georsclip-vit-h-14", "RS5M_ViT-H-14.pt", "ViT-H-14", n_parameters=VIT_H_14),
    _remoteclip("ViT-B-32", n_parameters=VIT_B_32, measured=_rsicd_rsitmd(35.26, 49.38)),
    _remoteclip("ViT-L-14", n_parameters=VIT_L_14),
    _remoteclip("RN50", n_parameters=RN50),
    _skyclip("skyclip-vit-b-32", "SkyCLIP_ViT_B32_top50pct", "ViT-B-32", n_parameters=VIT_B_32),
    _skyclip("skyclip-vit-l-14", "SkyCLIP_ViT_L14_top30pct", "ViT-L-14-quickgelu", n_parameters=VIT_L_14),
    _siglip("siglip2-base", "google/siglip2-base-patch16-224", n_parameters=375_187_970),
    _siglip("siglip2-large", "google/siglip2-large-patch16-256", n_parameters=881_526_786),
    _mobileclip("MobileCLIP2-S0", n_parameters=74_835_073),
    _mobileclip("MobileCLIP2-S2", n_parameters=99_243_329),
    _mobileclip("MobileCLIP2-B", n_parameters=149_777_153),
    _openai("ViT-B-32", "timm/vit_base_patch32_clip_224.openai", n_parameters=VIT_B_32),
    _openai("ViT-B-16", "timm/vit_base_patch16_clip_224.openai", n_parameters=VIT_B_16),
    _openai("ViT-L-14", "timm/vit_large_patch14_clip_224.openai", n_parameters=VIT_L_14),
)  # fmt: skip

CATALOGUE: Mapping[str, KnownModel] = MappingProxyType({model.name: model for model in _LISTED})
"""By short name, the packaged ones first, then those for remote sensing."""


def find_known(known: KnownModel) -> Path | None:
    """The file, or the folder, of a model where a person would have put it, or in the hub client's cache; else None."""
    place = known.place
    if place is not None and (place / "config.json" if known.form == "transformers" else place).is_file():
        return place
    if known.repository is None or known.is_packaged or not has_package("huggingface_hub"):
        return None
    from huggingface_hub import try_to_load_from_cache

    wanted = "config.json" if known.form == "transformers" else known.file or OPEN_CLIP_FILE
    cached = try_to_load_from_cache(known.repository, wanted)
    if not isinstance(cached, str):
        return None
    # Of a repository some files may be there, and the weights not.
    if known.form != "transformers":
        return Path(cached)
    folder = Path(cached).parent
    return folder if any(folder.glob("*.safetensors")) else None


def list_here() -> dict[str, Path]:
    """Where the weights of those models are that are on this machine, packaged ones aside."""
    found = {name: find_known(known) for name, known in CATALOGUE.items()}
    return {name: place for name, place in found.items() if place is not None}
