"""The bill of materials that travels in the wheel (CycloneDX, PEP 770): what is inside, whence, and under which terms.

It lists what the wheel itself carries: the packages in the page, the coasts, the models, the word lists. What pip
installs beside it is not inside, and stands in the wheel's metadata. Nothing but the standard library is needed, since
a build has nothing else; the same files give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

SPEC = "1.6"
CONTENTS = "packaging/contents.toml"
NAME = "rsitr.cdx.json"
CHUNK = 2**20
Record = dict[str, Any]


def write_sbom(root: Path, folder: Path, *, version: str, epoch: int | None) -> Path:
    """Write the bill of materials of the tree in `root` into a folder; returns the file.

    Args:
        root: the repository, or an unpacked source distribution.
        folder: where to write it.
        version: of the package.
        epoch: the time that it is to carry, in seconds since 1970; None leaves it out.
    """
    file = folder / NAME
    file.write_bytes((json.dumps(make_sbom(root, version=version, epoch=epoch), indent=1) + "\n").encode())
    return file


def make_sbom(root: Path, *, version: str, epoch: int | None) -> Record:
    """The bill of materials as one JSON object of CycloneDX 1.6."""
    contents, source = read_contents(root), root / "src"
    own = f"pkg:pypi/rsitr@{version}"
    packages = _read_packages(source, contents)
    components = [_package(one) for one in packages]
    components += [one for told in contents["component"] if (one := _component(told, root))]
    needs: dict[str, list[str]] = {
        _purl(one): sorted(_purl(other) for other in packages if other["name"] in one["needs"]) for one in packages
    }
    needs[own] = [one["bom-ref"] for one in components]
    made: Record = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "component": {
                "bom-ref": own,
                "type": "library",
                "name": "rsitr",
                "version": version,
                "purl": own,
                "licenses": _licences({"license": "Apache-2.0"}),
            },
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": needs[ref]} for ref in sorted(needs)],
    }
    if epoch is not None:
        made["metadata"]["timestamp"] = datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()
    return {**made, "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}"}


def read_contents(root: Path) -> Record:
    """What packaging/contents.toml says."""
    return tomllib.loads((root / CONTENTS).read_text(encoding="utf-8"))


def list_unaccounted(root: Path) -> list[str]:
    """Files of the package, other than Python, that packaging/contents.toml does not speak of."""
    contents, source = read_contents(root), root / "src"
    told = [*contents["own"]["files"], *contents["page"]["files"]]
    told += [pattern for component in contents["component"] for pattern in component["files"]]
    known = {file for pattern in told for file in source.glob(pattern)}
    return [
        file.relative_to(source).as_posix()
        for file in sorted((source / "rsitr").rglob("*"))
        if file.is_file() and file.suffix not in {".py", ".pyc"} and file not in known
    ]


def _read_packages(source: Path, contents: Record) -> list[Record]:
    """The npm packages in the page, or none where it was not built."""
    file = source / contents["page"]["packages"]
    found: list[Record] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    return found


def _purl(package: Mapping[str, Any]) -> str:
    return f"pkg:npm/{quote(package['name'])}@{package['version']}"


def _package(told: Record) -> Record:
    scope, _, name = told["name"].rpartition("/")
    return {
        "bom-ref": _purl(told),
        "type": "library",
        **({"group": scope} if scope else {}),
        "name": name,
        "version": told["version"],
        "licenses": _licences(told),
        "purl": _purl(told),
    }


def _component(told: Record, root: Path) -> Record | None:
    """A component as contents.toml has it, with a digest of each of its files; none where it has no file here."""
    files = list(_files(told, root / "src"))
    if not files:
        return None
    ref = f"rsitr:{told['name'].replace(' ', '-')}"
    return {
        "bom-ref": ref,
        "type": told["type"],
        "name": told["name"],
        "description": told["description"],
        "licenses": _licences(told, text=_section(root / told["card"], told["heading"]) if "card" in told else ""),
        **({"pedigree": {"ancestors": [_ancestor(one) for one in told["ancestor"]]}} if "ancestor" in told else {}),
        "components": [
            {
                "bom-ref": f"{ref}/{name}",
                "type": "file",
                "name": name,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
            for name, digest in files
        ],
    }


def _files(told: Record, source: Path) -> Iterator[tuple[str, str]]:
    for file in sorted({file for pattern in told["files"] for file in source.glob(pattern) if file.is_file()}):
        digest = hashlib.sha256()
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
        yield file.relative_to(source).as_posix(), digest.hexdigest()


def _ancestor(told: Record) -> Record:
    kept: Record = {key: told[key] for key in ("type", "name", "version") if key in told}
    return {**kept, "licenses": _licences(told)}


def _licences(told: Mapping[str, Any], *, text: str = "") -> list[Record]:
    """Terms as CycloneDX has them: an SPDX identifier, an SPDX expression, or words."""
    spdx = told.get("license")
    if spdx and re.search(r"[\s()]", spdx):
        return [{"expression": spdx}]
    named = {"id": spdx} if spdx else {"name": told.get("terms", "none stated")}
    return [{"license": {**named, **({"text": {"content": text}} if text else {})}}]


def _section(file: Path, heading: str) -> str:
    """What stands under a heading of a page in Markdown."""
    found = re.search(
        rf"^## {re.escape(heading)}\n+(.*?)(?=^## |\Z)", file.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    if found is None:
        raise ValueError(f"{file} has no section {heading!r}, which {CONTENTS} names")
    return found[1].strip()
