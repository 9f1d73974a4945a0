"""The caption data sets known by name: their files, official splits, and whom to cite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["CATALOGUE", "CaptionSet"]


@dataclass(frozen=True, slots=True)
class CaptionSet:
    """A published caption data set.

    Attributes:
        name: what a person types before the colon.
        title: what its authors call it.
        format: of the annotation file.
        files: names under which the annotation file is distributed, the official one first.
        split_sizes: number of images per official split.
        citation: the paper that published it.
    """

    name: str
    title: str
    format: Literal["karpathy", "nwpu"]
    files: tuple[str, ...]
    split_sizes: Mapping[str, int]
    citation: str


CATALOGUE: Mapping[str, CaptionSet] = MappingProxyType(
    {
        known.name: known
        for known in (
            CaptionSet(
                name="rsicd",
                title="RSICD",
                format="karpathy",
                files=("dataset_rsicd.json", "dataset_RSICD.json", "dataset.json"),
                split_sizes={"train": 8734, "val": 1094, "test": 1093},
                citation="Lu et al., Exploring Models and Data for Remote Sensing Image Caption Generation, TGRS 2018",
            ),
            CaptionSet(
                name="ucm",
                title="UCM-Captions",
                format="karpathy",
                files=("dataset.json", "dataset_ucm.json", "dataset_ucmd.json"),
                split_sizes={"train": 1680, "val": 210, "test": 210},
                citation="Qu et al., Deep Semantic Understanding of High Resolution Remote Sensing Image, CITS 2016",
            ),
            CaptionSet(
                name="sydney",
                title="Sydney-Captions",
                format="karpathy",
                files=("dataset.json", "dataset_sydney.json"),
                split_sizes={"train": 497, "val": 58, "test": 58},
                citation="Qu et al., Deep Semantic Understanding of High Resolution Remote Sensing Image, CITS 2016",
            ),
            CaptionSet(
                name="rsitmd",
                title="RSITMD",
                format="karpathy",
                files=("dataset_RSITMD.json", "dataset.json"),
                split_sizes={"train": 4291, "test": 452},
                citation="Yuan et al., Exploring a Fine-Grained Multiscale Method for Cross-Modal Remote Sensing Image "
                "Retrieval, TGRS 2022",
            ),
            CaptionSet(
                name="nwpu",
                title="NWPU-Captions",
                format="nwpu",
                files=("dataset_nwpu.json", "dataset.json"),
                split_sizes={"train": 25200, "val": 3150, "test": 3150},
                citation="Cheng et al., NWPU-Captions Dataset and MLCA-Net for Remote Sensing Image Captioning, "
                "TGRS 2022",
            ),
        )
    }
)
