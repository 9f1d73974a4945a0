"""Configs as files: the packaged ones by name, a person's own by path, and settings changed on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from rsitr.config.parsing import parse
from rsitr.config.training import TrainConfig
from rsitr.errors import ConfigError

__all__ = [
    "CONFIG_FOLDER",
    "describe_config",
    "find_config",
    "list_configs",
    "load_config",
    "override",
    "read_settings",
    "read_yaml",
]

CONFIG_FOLDER = Path(__file__).parents[1] / "configs"


def list_configs() -> list[str]:
    """Names of the packaged configs."""
    return sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml"))


def find_config(name: str) -> Path:
    """The file of a packaged config by name, or of one by path.

    Raises:
        ConfigError: it does not exist.
    """
    path = CONFIG_FOLDER / f"{name}.yaml"
    if not path.is_file():
        path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(f"there is no config {name!r}: use {', '.join(list_configs())}, or the path of a YAML file")
    return path


def load_config(name: str) -> TrainConfig:
    """Read a packaged config by name, or a YAML file by path.

    Raises:
        ConfigError: it does not exist, is not YAML, or a key or value is wrong.
    """
    path = find_config(name)
    return parse(TrainConfig, read_yaml(path), where=path.name)


def describe_config(name: str) -> str:
    """What a packaged config is for: the first paragraph of the comments that it begins with, in one line.

    Raises:
        ConfigError: it does not exist.
    """
    said: list[str] = []
    for line in find_config(name).read_text(encoding="utf-8").splitlines()[1:]:  # the first line is its command
        text = line.removeprefix("#").strip()
        if not line.startswith("#") or (said and not text):
            break
        said += [text] if text else []
    return " ".join(said)


def override(config: TrainConfig, changes: Mapping[str, Any], *, where: str | None = None) -> TrainConfig:
    """A config with some settings changed, named as in its YAML with points: `{"loss.local_weight": 0.0}`.

    Of a list a part goes by its number, from 0 on: `{"phases.0.lr": 0.001}`.

    Args:
        config: what is changed.
        changes: the new values, as YAML would give them.
        where: named by what is raised; the config's own name when None.

    Raises:
        ConfigError: there is no such setting, or it may not have that value.
    """
    where = where or config.name
    raw: dict[str, Any] = config.model_dump(mode="json")  # tuples as the lists that YAML has
    for name, value in changes.items():
        *sections, setting = name.split(".")
        place: Any = raw
        for section in sections:
            place = _enter(place, section)
        if isinstance(place, list) and setting.isdigit() and int(setting) < len(place):
            place[int(setting)] = value
        elif isinstance(place, dict):
            place[setting] = value
        else:
            raise ConfigError(f"{where} has no section {'.'.join(sections)!r} to set {setting!r} in")
    return parse(TrainConfig, raw, where=where)


def _enter(place: Any, section: str) -> Any:
    """The part of parsed YAML that has this name, or number; None where there is none."""
    if isinstance(place, list):
        return place[int(section)] if section.isdigit() and int(section) < len(place) else None
    return place.get(section) if isinstance(place, dict) else None


def read_settings(given: Iterable[str]) -> dict[str, Any]:
    """Settings as a person types them, `loss.scale=10.0`, for :func:`override`; values are YAML.

    Raises:
        ConfigError: one has no `=`, no name, or a value that is not YAML.
    """
    settings: dict[str, Any] = {}
    for entry in given:
        name, sign, text = entry.partition("=")
        if not sign or not name.strip():
            raise ConfigError(f"a setting is given as NAME=VALUE, e.g. loss.scale=10.0, not {entry!r}")
        try:
            settings[name.strip()] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"the value of {entry!r} is not YAML: {' '.join(str(error).split())}") from error
    return settings


def read_yaml(path: Path) -> Any:
    """What a YAML file says, as plain values.

    Raises:
        ConfigError: it cannot be read, or is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:  # a wrong encoding or an impossible date is a ValueError
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
