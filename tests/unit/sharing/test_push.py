"""What goes to others: to a folder, and to a hub on this machine that speaks as the real one does."""

from __future__ import annotations

import base64
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from adapting import adapter_config, write_compact_base
from rsitr.cli.app import main
from rsitr.config import AdapterConfig, ModelConfig
from rsitr.models import load_model
from rsitr.models.compact import TRUNKS
from rsitr.sharing import Licence, write_card
from rsitr.training.runs import build_run
from tiny import SIZES, TinyTrunk, write_tiny_data

Run = Callable[..., tuple[int, str, str]]
PICTURES = list(np.random.default_rng(3).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8))
TOKEN = "hf_secretsecretsecret"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A whole training's folder and an adapter's, trained with paths in their configs."""
    folder = tmp_path_factory.mktemp("runs")
    root = write_tiny_data(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
        base = write_compact_base(folder / "base")
        config = adapter_config(ModelConfig(kind="compact", settings=SIZES, init=str(base)))
        phase = config.phases[0].replace(epochs=1, max_steps=1)
        for name, adapter in (("whole", AdapterConfig()), ("lora", config.adapter)):
            run = build_run(
                config.replace(phases=(phase,), adapter=adapter),
                root=root,
                folder=folder / name,
                device="cpu",
                provenance={"command": f"rsitr train {folder / 'a.yaml'} --data-root {root}"},
            )
            run.trainer.run(resume=False)
            write_card(folder / name / "best", licence=Licence("cc-by-4.0"))
        yield folder


@pytest.fixture
def whole(runs: Path, tmp_path: Path) -> Path:
    return shutil.copytree(runs / "whole" / "best", tmp_path / "whole")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def features(name: Path) -> tuple[Any, Any]:
    encoder = load_model(str(name), device="cpu")
    return encoder.encode_images(PICTURES).global_emb, encoder.encode_texts(["a red barn", "trees"]).global_emb


def content(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_folder_holds_the_model_and_nothing_of_this_machine(
    run: Run, whole: Path, runs: Path, tmp_path: Path
) -> None:
    (whole / "state.pt").write_bytes(b"optimizer")
    (whole / "picture.jpg").write_bytes(b"jpeg")
    (whole / "val.json").write_text("{}")
    status, out, err = run("push", whole, "--to", tmp_path / "out")
    assert status == 0, err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert "stays here: picture.jpg, state.pt, val.json" in out
    assert str(runs).encode() in content(whole)
    for there in (str(runs), str(tmp_path), "/tmp/"):
        assert there.encode() not in content(tmp_path / "out")
    for one, other in zip(features(whole), features(tmp_path / "out"), strict=True):
        assert np.array_equal(one, other)
    assert run("push", whole, "--to", tmp_path / "out")[0] == 0  # again, over itself
    assert run("push", whole, "--to", whole)[2].strip().endswith("is the checkpoint itself: name another folder")
    assert "which is no part of a model: name a new folder" in run("push", whole, "--to", runs)[2]


def test_an_adapter_names_a_base_that_others_have(
    run: Run, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = runs / "lora" / "best"
    status, _, err = run("push", best, "--to", tmp_path / "out")
    assert (status, "push that first and say --base OWNER/NAME, or push the whole model" in err) == (2, True)
    assert not (tmp_path / "out").exists()
    status, out, err = run("push", best, "--to", tmp_path / "out", "--base", "me/base", "--json")
    assert status == 0, err
    assert json.loads(out)["files"].keys() == {
        "README.md",
        "config.json",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"] == "me/base"
    assert str(runs).encode() not in content(tmp_path / "out")
    monkeypatch.setenv("RSITR_MODELS", str(tmp_path / "models"))  # where a person has put what the hub has
    shutil.copytree(runs / "base", tmp_path / "models" / "me" / "base")
    for one, other in zip(features(best), features(tmp_path / "out"), strict=True):
        assert np.array_equal(one, other)


def no_card(folder: Path) -> None:
    (folder / "README.md").unlink()


def no_licence(folder: Path) -> None:
    (folder / "README.md").write_text("---\nlibrary_name: rsitr\n---\n# mine\n")


def path_in_card(folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# mine\n\ntrained in /data/me/runs\n")


def other_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: value * 0 for name, value in weights.items()}, folder / "model.safetensors")


def path_in_weights(folder: Path) -> None:
    save_file({"references": torch.zeros(1)}, folder / "calibration.safetensors", metadata={"a": "/data/me/x"})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_card, "has no card: others must know what this is, and under which licence: `rsitr card"),
        (no_licence, "states no licence (`license:` in its front, between two lines ---): `rsitr card"),
        (path_in_card, "README.md, line 6: names a path of this machine (/data/me/runs)"),
        (other_weights, "model.safetensors is not what config.json was saved with"),
        (path_in_weights, "calibration.safetensors: its notes name a path of this machine (/data/me/x)"),
    ],
)
def test_what_others_should_not_get_is_refused(
    run: Run, whole: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(whole)
    for target in (("--to", tmp_path / "out"), ("me/model",), ("me/model", "--dry-run")):
        status, out, err = run("push", whole, *target)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert said in err
    assert not (tmp_path / "out").exists()


def test_a_calibration_of_files_that_change_on_the_way_stays(run: Run, whole: Path, tmp_path: Path) -> None:
    save_file({"references": torch.zeros(1)}, whole / "calibration.safetensors", metadata={"calibration": "{}"})
    status, out, _ = run("push", whole, "--to", tmp_path / "out")
    assert (status, "`rsitr calibrate` makes theirs" in out) == (1, True)
    assert not (tmp_path / "out" / "calibration.safetensors").exists()


def test_a_dry_run_and_a_missing_token_need_no_network(run: Run, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, _ = run("push", whole, "me/model", "--private", "--dry-run")
    assert status == 0
    size = (whole / "model.safetensors").stat().st_size
    assert f"{size:,}" in out
    assert "would go to me/model (private, if it is made)" in out
    for arguments, said in (
        (("me/model",), "no token for the hub: `hf auth login` keeps one, HF_TOKEN gives one; --to FOLDER"),
        (("model",), "'model' is no name of a repository on the hub: write OWNER/NAME"),
        (("me/../model",), "is no name of a repository"),
        ((), "say where to: REPO, OWNER/NAME on the hub, or --to FOLDER"),
        (("me/model", "--to", "out"), "say where to: REPO"),
    ):
        status, out, err = run("push", whole, *arguments)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert said in err
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set, and nothing goes to the hub then" in run("push", whole, "me/model")[2]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("rsitr.models.shortnames.has_network", lambda: False)
    assert "the hub cannot be reached; --to FOLDER" in run("push", whole, "me/model")[2]


class Hub(BaseHTTPRequestHandler):
    """What of the hub's API an upload asks for; keeps what it got."""

    asked: list[tuple[str, str, Any]]
    files: dict[str, bytes]
    refuses = False

    def do_GET(self) -> None:
        self._answer({"sha": "0" * 40, "siblings": [], "id": "me/model"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = [json.loads(line) for line in body.splitlines() if line.strip()] if body else []
        self.asked.append((self.path, self.headers.get("Authorization", ""), found[0] if found else None))
        if self.refuses:
            self._answer({"error": f"not with {self.headers.get('Authorization')}"}, status=403)
        elif self.path == "/api/repos/create":
            self._answer({"url": f"http://{self.headers['Host']}/me/model", "name": "me/model", "id": "me/model"})
        elif "/preupload/" in self.path:
            self._answer(
                {"files": [{**one, "uploadMode": "regular", "shouldIgnore": False} for one in found[0]["files"]]}
            )
        elif "/commit/" in self.path:
            for entry in found:
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self._answer({"success": True, "commitOid": "1" * 40, "commitUrl": f"http://{self.headers['Host']}/c/1"})
        else:
            self._answer({"errors": [], "warnings": []})

    def _answer(self, content: Any, *, status: int = 200) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    kind = type("OwnHub", (Hub,), {"asked": [], "files": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield kind
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_hub_gets_the_files_of_the_list_and_the_token_is_not_shown(
    run: Run, hub: type[Hub], whole: Path, tmp_path: Path, runs: Path
) -> None:
    (whole / "state.pt").write_bytes(b"optimizer")
    status, out, err = run("push", whole, "me/model", "--private")
    assert status == 0, err
    assert set(hub.files) == {"README.md", "config.json", "model.safetensors"}
    assert hub.files["model.safetensors"] == (whole / "model.safetensors").read_bytes()
    assert str(runs).encode() not in b"".join(hub.files.values())
    path, authorization, made = hub.asked[0]
    assert (path, authorization) == ("/api/repos/create", f"Bearer {TOKEN}")
    assert (made["name"], made["organization"]) == ("model", "me")
    assert made.get("private") is True or made.get("visibility") == "private"  # by the version of the client
    assert TOKEN not in out + err
    for name, found in hub.files.items():  # what was sent is a model
        (tmp_path / "got").mkdir(exist_ok=True)
        (tmp_path / "got" / name).write_bytes(found)
    for one, other in zip(features(whole), features(tmp_path / "got"), strict=True):
        assert np.array_equal(one, other)


def test_a_hub_that_refuses_is_told_of_in_a_line_without_the_token(run: Run, hub: type[Hub], whole: Path) -> None:
    hub.refuses = True
    status, out, err = run("push", whole, "me/model")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "me/model: the hub does not take it" in err
    assert TOKEN not in err
    assert not hub.files
