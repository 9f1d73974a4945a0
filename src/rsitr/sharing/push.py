"""A checkpoint on its way to others: the files that belong to it, without a machine's paths, to the hub or a folder.

Only files of a known list go: the model and what it is used with. States of a training, logs, pictures and reports
stay, and so do paths: in configs their last part takes their place, in a card a person has to.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from rsitr.calibration import CALIBRATION_FILE
from rsitr.errors import ConfigError, ModelError
from rsitr.extras import need
from rsitr.files import write_file
from rsitr.models.checkpoint import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_WEIGHTS_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    open_checkpoint,
)
from rsitr.models.graphs import GRAPHS_FOLDER
from rsitr.models.wordpiece import VOCABULARY_FILE
from rsitr.sharing.card import CARD_FILE, find_front
from rsitr.sharing.paths import find_paths, hide_paths

__all__ = ["Plan", "Planned", "plan_push", "push_to_folder", "push_to_hub", "require_repository"]

KNOWN = (
    CARD_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    ADAPTER_CONFIG_FILE,
    ADAPTER_WEIGHTS_FILE,
    VOCABULARY_FILE,
    CALIBRATION_FILE,
    f"{GRAPHS_FOLDER}/graphs.json",
    f"{GRAPHS_FOLDER}/images.onnx",
    f"{GRAPHS_FOLDER}/texts.onnx",
)
"""All that is ever sent of a checkpoint's folder."""
REPOSITORY = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?/[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Planned:
    """A file that goes.

    Attributes:
        name: within the checkpoint.
        size_bytes: as it goes.
        content: in place of the file's own, where paths were taken out of it; None for the file as it is.
    """

    name: str
    size_bytes: int
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes of a checkpoint.

    Attributes:
        folder: of the checkpoint.
        files: that go.
        left_out: what else is in the folder.
    """

    folder: Path
    files: tuple[Planned, ...]
    left_out: tuple[str, ...]

    @property
    def lacks_calibration(self) -> bool:
        """Whether a calibration stays because the config that it belongs to changes on the way."""
        return CALIBRATION_FILE in self.left_out

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)


def plan_push(folder: Path, *, base: str | None = None) -> Plan:
    """What of a checkpoint goes to others; nothing is written or sent.

    Args:
        folder: of the checkpoint.
        base: of an adapter, the name of its base for others: a repository of the hub, or what `--model` takes.

    Raises:
        ModelError: it is no checkpoint, or its files do not belong together.
        ConfigError: it has no card that states a licence, the card names a path of this machine, or its base is one.
    """
    opened = open_checkpoint(folder, lambda _path: None)
    _require_card(folder)
    files = []
    for name in KNOWN:
        path = folder / name
        if not path.is_file():
            continue
        content = _clean(path, base=base)
        files.append(Planned(name, path.stat().st_size if content is None else len(content), content))
    wanted = {CONFIG_FILE, opened.config.weights_file} | ({ADAPTER_CONFIG_FILE} if opened.config.base else set())
    if lacking := sorted(wanted - {file.name for file in files}):
        raise ModelError(f"{folder} has no {lacking[0]}; copy the whole checkpoint folder")
    if any(file.content is not None for file in files):
        # A calibration is of one fingerprint, in which every letter of the configs counts.
        files = [file for file in files if file.name != CALIBRATION_FILE]
    sent = {file.name for file in files}
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return Plan(folder, tuple(files), tuple(name for name in there if name not in sent))


def push_to_folder(plan: Plan, into: Path) -> None:
    """Write the files into a folder, as they would lie on the hub.

    Raises:
        ConfigError: there is something else in that folder, or it cannot be written.
    """
    if into.exists() and into.resolve() == plan.folder.resolve():
        raise ConfigError(f"{into} is the checkpoint itself: name another folder")
    there = sorted(path.name for path in into.iterdir()) if into.is_dir() else []
    if other := [name for name in there if name not in {known.split("/")[0] for known in KNOWN}]:
        raise ConfigError(f"{into} holds {other[0]}, which is no part of a model: name a new folder")
    try:
        for known in KNOWN:  # of an earlier push nothing stays that does not belong to this one
            (into / known).unlink(missing_ok=True)
        for file in plan.files:
            target = into / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.content is None:
                shutil.copyfile(plan.folder / file.name, target)
            else:
                write_file(target, file.content)
    except OSError as error:
        raise ConfigError(f"cannot write into {into}: {error.strerror or error}") from error


def push_to_hub(plan: Plan, repository: str, *, private: bool = False) -> str:
    """Send the files to a repository of the hub, which is made if it is not there. Returns its address.

    The token is the one that `hf auth login` has kept, or that HF_TOKEN gives.

    Raises:
        ConfigError: that is no name of a repository, there is no token, or the hub is not to be reached or refuses.
    """
    require_repository(repository)
    need("huggingface_hub", what="sending a model to the hub")
    from huggingface_hub import HfApi, constants, get_token

    from rsitr.models.shortnames import has_network

    instead = "--to FOLDER writes the same files to be sent later, --dry-run lists them"
    if constants.HF_HUB_OFFLINE:
        raise ConfigError(f"HF_HUB_OFFLINE is set, and nothing goes to the hub then; {instead}")
    token = get_token()
    if not token:
        raise ConfigError(f"no token for the hub: `hf auth login` keeps one, HF_TOKEN gives one; {instead}")
    if not has_network():
        raise ConfigError(f"the hub cannot be reached; {instead}")
    with tempfile.TemporaryDirectory(prefix="rsitr-push-") as staged:
        push_to_folder(plan, Path(staged))
        try:
            api: Any = HfApi()
            address = api.create_repo(repository, private=private or None, exist_ok=True)
            api.upload_folder(
                repo_id=repository,
                folder_path=staged,
                allow_patterns=[file.name for file in plan.files],
                commit_message="Upload a model with rsitr",
            )
        except Exception as error:  # the hub client raises many kinds
            reason = (str(error).splitlines() or [type(error).__name__])[0].strip().replace(token, "TOKEN")
            raise ConfigError(f"{repository}: the hub does not take it ({reason}); {instead}") from error
    return str(address)


def require_repository(name: str) -> None:
    """Raise ConfigError for what can be no name of a repository."""
    if REPOSITORY.fullmatch(name) is None or ".." in name or "--" in name:
        raise ConfigError(f"{name!r} is no name of a repository on the hub: write OWNER/NAME")


def _require_card(folder: Path) -> None:
    path = folder / CARD_FILE
    hint = f"`rsitr card {folder} --license ID`"
    if not path.is_file():
        raise ConfigError(f"{folder} has no card: others must know what this is, and under which licence: {hint}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 ({error})") from error
    stated = find_front(text).get("license")
    if not stated or not isinstance(stated, str):
        raise ConfigError(f"{path} states no licence (`license:` in its front, between two lines ---): {hint}")
    for number, line in enumerate(text.splitlines(), start=1):
        if found := find_paths(line):
            raise ConfigError(f"{path}, line {number}: names a path of this machine ({found[0]}): write it otherwise")


def _clean(path: Path, *, base: str | None) -> bytes | None:
    """A file's content without a machine's paths; None where the file has none."""
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="np") as file:
                noted = (file.metadata() or {}).values()
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} cannot be read as safetensors ({error})") from error
        _require_none(path, noted)
        return None
    if path.name not in (CONFIG_FILE, ADAPTER_CONFIG_FILE):
        return None
    content, before = (json.loads(path.read_bytes()) for _ in range(2))
    if path.name == ADAPTER_CONFIG_FILE:
        content["base_model_name_or_path"] = _name_base(path, content, base=base)
    elif content.get("base"):
        name = content["base"]["name"] = base or content["base"].get("name")
        content["base"]["name"] = hide_paths(name)
    hidden = hide_paths(content)
    return None if hidden == before else (json.dumps(hidden, indent=2, ensure_ascii=False) + "\n").encode()


def _name_base(path: Path, content: dict[str, Any], *, base: str | None) -> str:
    name = base or str(content.get("base_model_name_or_path") or "")
    rest = name.partition(":")[2]
    if not name or find_paths(name) or Path(name).exists() or (rest and Path(rest).exists()):
        raise ConfigError(
            f"{path.parent}: its base model is {name or 'not named'}, which others do not have: push that first and "
            f"say --base OWNER/NAME, or push the whole model, `rsitr export {path.parent} --merged NEW`"
        )
    return name


def _require_none(path: Path, noted: Iterable[str]) -> None:
    for text in noted:
        if found := find_paths(text):
            raise ConfigError(f"{path}: its notes name a path of this machine ({found[0]}): write it anew without")
