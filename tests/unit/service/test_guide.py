"""The guides on serving and on GIS programs: requests are answered, settings are all there are, Python runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import httpx
import pytest

from archives import picture_file
from fakes import ColourEncoder
from rsitr.search import Index
from rsitr.service import ServiceSettings, add_key, create_app
from servers import run_app

GUIDES = Path(__file__).resolve().parents[3] / "docs" / "guides"
GUIDE = (GUIDES / "serving.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = GUIDE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def curl(line: str, *, key: str, folder: Path) -> tuple[Path | None, httpx.Response]:
    """What curl would do: the file that it would write, and the answer."""
    words = iter(shlex.split(line)[1:])
    url, headers, content, out = "", {"X-API-Key": key}, None, None
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word in {"-d", "--data-binary"}:
            given = next(words)
            content = (folder / given[1:]).read_bytes() if given.startswith("@") else given.encode()
        elif word == "-o":
            out = folder / next(words)
        else:
            url = word
    return out, httpx.request("GET" if content is None else "POST", url, headers=headers, content=content, timeout=60)


def test_the_requests_are_answered(archive: Path, encoder: ColourEncoder, tmp_path: Path) -> None:
    (tmp_path / "example.jpg").write_bytes(picture_file("red", "JPEG"))
    key = add_key("read", tmp_path / "keys.txt")
    app = create_app(
        ServiceSettings(index=archive, keys_file=tmp_path / "keys.txt"), index=Index.open(archive, encoder=encoder)
    )
    pages = [GUIDE, (GUIDES / "gis.md").read_text(encoding="utf-8")]
    lines = [line for page in pages for block in blocks("sh", page) for line in block.splitlines()]
    assert len(lines) >= 13
    with run_app(app) as url:
        for line in lines:
            out, answer = curl(line.replace("$RSITR", url).replace("$KEY", key), key=key, folder=tmp_path)
            assert answer.is_success, f"{line}: {answer.text}"
            if out is None:
                answer.json()
            else:
                out.write_bytes(answer.content)
    assert json.loads((tmp_path / "rivers.geojson").read_text(encoding="utf-8"))["numberMatched"] == 0
    assert json.loads((tmp_path / "farmland.geojson").read_text(encoding="utf-8"))["type"] == "FeatureCollection"


def test_every_setting_is_listed() -> None:
    listed = set(re.findall(r"`RSITR_([A-Z_]+)`", GUIDE.split("## Settings")[1]))
    assert listed == {name.upper() for name in ServiceSettings.model_fields}


def test_the_python_runs(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "archive.index").symlink_to(archive)
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        exec(compile(block, "serving.md", "exec"), {})
    assert re.fullmatch(r"rsitr \d\d\n", capsys.readouterr().out)
