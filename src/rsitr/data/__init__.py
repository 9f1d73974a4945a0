"""Caption data sets: loading and checking them, keywords, duplicates, transforms."""

from rsitr.data.records import CaptionDataset, CaptionedImage, require_images
from rsitr.data.sources import load_dataset

__all__ = ["CaptionDataset", "CaptionedImage", "load_dataset", "require_images"]
