"""Packs the plugin for QGIS as a file that its plugin manager installs: `python qgis/package.py [FOLDER]`."""

from __future__ import annotations

import configparser
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLUGIN = "rsitr_search"
KINDS = (".py", ".svg", ".txt")
BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The time of every file in it: the same sources give the same bytes."""


def pack(folder: Path) -> Path:
    """Write the file, which is named after the version in metadata.txt; returns where it is."""
    metadata = configparser.ConfigParser()
    metadata.read(HERE / PLUGIN / "metadata.txt", encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{PLUGIN}-{metadata['general']['version']}.zip"
    contents = {f"{PLUGIN}/{path.name}": path for path in (HERE / PLUGIN).iterdir() if path.suffix in KINDS}
    contents[f"{PLUGIN}/LICENSE"] = HERE.parent / "LICENSE"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name, BEGINNING), contents[name].read_bytes(), zipfile.ZIP_DEFLATED)
    return target


if __name__ == "__main__":
    print(pack(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "dist"))
