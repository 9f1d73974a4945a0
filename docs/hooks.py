"""Pages that are made when the site is: of commands, config keys, rooms of the package, and the notebook."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic.fields import FieldInfo

from rsitr.cli.app import app
from rsitr.cli.results import RESULTS, WITHOUT
from rsitr.config import Settings, TrainConfig

ROOMS = (
    *("data", "geo", "models", "losses", "similarity", "rerank", "index", "search", "formats", "evaluation"),
    *("training", "sharing", "service", "assistants", "config", "registry", "calibration", "catalogue"),
    *("types", "errors"),
)
DOCS = Path(__file__).parent


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made."""
    pages = {
        "reference/commands.md": describe_commands(),
        "reference/json.md": describe_results(),
        "reference/config.md": describe_config(),
        "reference/api.md": describe_module("rsitr", title="rsitr"),
        **{f"reference/api-{room}.md": describe_module(f"rsitr.{room}", title=f"rsitr.{room}") for room in ROOMS},
        "tutorials/first-search.md": describe_notebook(DOCS / "tutorials" / "first-search.ipynb"),
    }
    for place, content in pages.items():
        files.append(File.generated(config, place, content=content))
    return files


def describe_module(name: str, *, title: str) -> str:
    """What a module promises, from its docstrings."""
    return f"# {title}\n\n::: {name}\n    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n"


def describe_commands() -> str:
    """Every command as its own help has it."""
    lines = [
        "# Commands",
        "",
        "Every option as `--help` tells it. Exit status: 0 all done; 1 done, but something was left out",
        "",
    ]
    lines[2] += " or found wrong, and it is listed; 2 could not be done."
    lines += [
        "`--json` prints a result as JSON, whose keys are [listed](json.md). `rsitr --install-completion` makes the",
        "shell (bash, zsh, fish, PowerShell) complete commands and options by the tabulator, from the next terminal",
        "on; `rsitr --show-completion` prints what it installs.",
        "",
    ]
    root: Any = typer.main.get_command(app)
    for words, command in _walk(root, ("rsitr",)):
        lines += [f"## {' '.join(words)}", "", *(command.help or "").replace("\f", "").splitlines(), ""]
        lines += ["| option | | default |", "|---|---|---|"]
        for option in command.params:
            if getattr(option, "hidden", False) or option.name in {"help", "install_completion", "show_completion"}:
                continue
            names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
            shown = names if option.param_type_name == "option" else f"`{option.metavar or option.name}`"
            default = option.default if not callable(option.default) else None
            told = "" if default in (None, False, (), []) or option.required else f"`{default}`"
            text = _cell(getattr(option, "help", None) or "")
            lines.append(f"| {_cell(shown)} | {text} | {_cell(told)} |")
        lines.append("")
    return "\n".join(lines)


def describe_results() -> str:
    """What every command prints with `--json`, from the records that it is made of."""
    lines = [
        "# JSON results",
        "",
        "`--json` prints one JSON object on stdout, and nothing else there: notes and progress go to stderr, and the",
        "exit status stays what it is. Commands that write a report take a file, `--json FILE`, and `-` for stdout.",
        "",
    ]
    for command, record in RESULTS.items():
        lines += [f"## rsitr {command}", "", *_about(record), ""]
        lines += ["| key | kind | what |", "|---|---|---|"]
        told = _attributes(record)
        for name, kind in typing.get_type_hints(record).items():
            lines.append(f"| `{name}` | {_cell(_json_kind(kind))} | {_cell(told[name])} |")
        lines.append("")
        for inner in _records_in(record):
            lines += [f"Of `{inner.__name__}`:", "", "| key | kind | what |", "|---|---|---|"]
            told = _attributes(inner)
            for name, kind in typing.get_type_hints(inner).items():
                lines.append(f"| `{name}` | {_cell(_json_kind(kind))} | {_cell(told.get(name, ''))} |")
            lines.append("")
    lines += ["Without a result:", ""]
    lines += [f"- `rsitr {command}` {why}" for command, why in WITHOUT.items()]
    return "\n".join([*lines, ""])


def _about(record: type) -> list[str]:
    """A record's docstring before its attributes."""
    text = inspect.cleandoc(record.__doc__ or "")
    return text.split("Attributes:")[0].strip().splitlines()


def _attributes(record: type) -> dict[str, str]:
    """What the docstrings of a record, and of what it extends, say of each attribute."""
    texts = [inspect.cleandoc(kind.__doc__ or "").partition("Attributes:")[2] for kind in reversed(record.__mro__)]
    found = [pair for text in texts for pair in re.findall(r"^    (\w+): (.*(?:\n        .*)*)", text, re.MULTILINE)]
    return {name: " ".join(said.split()) for name, said in found}


def _records_in(record: type) -> list[type]:
    """Records that a record is made of, in order."""
    found: list[type] = []

    def look(kind: Any) -> None:
        for inner in typing.get_args(kind):
            look(inner)
        if dataclasses.is_dataclass(kind) and isinstance(kind, type) and kind not in found:
            found.append(kind)
            for one in typing.get_type_hints(kind).values():
                look(one)

    for one in typing.get_type_hints(record).values():
        look(one)
    return found


def _json_kind(kind: Any) -> str:
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "`null`", Any: "any"}
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind in names:
        return names[kind]
    if origin is list:
        return f"list of {_json_kind(inner[0])}"
    if origin is dict:
        return "object" if inner[1] is Any else f"object of {_json_kind(inner[1])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_json_kind(one) for one in inner)
    return f"`{kind.__name__}`"


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if getattr(command, "commands", None):
        for name, inner in sorted(command.commands.items()):
            yield from _walk(inner, (*words, name))
    else:
        yield words, command


def describe_config() -> str:
    """Every key of a training's config, from the classes that check it."""
    lines = [
        "# Config keys",
        "",
        "A config is YAML; an unknown key is an error. `rsitr configs NAME` prints a packaged one, and",
    ]
    lines += ["`rsitr train NAME --set KEY=VALUE` changes a key for one run.", ""]
    lines += _section(TrainConfig, name="")
    return "\n".join(lines)


def _section(kind: type[Settings], *, name: str) -> list[str]:
    title = f"`{name}`" if name else "At the top"
    lines = [f"## {title}", "", (kind.__doc__ or "").split("\n\n")[0].replace("\n", " ").strip(), ""]
    lines += ["| key | what | may be | default |", "|---|---|---|---|"]
    inner: list[tuple[str, type[Settings]]] = []
    for key, field in kind.model_fields.items():
        if (section := _settings_in(field.annotation)) is not None:
            inner.append((f"{name}.{key}".strip("."), section))
            if not isinstance(field.default, tuple):
                continue
        default = "required" if field.is_required() else f"`{_plain(field.default)}`"
        lines.append(f"| `{key}` | {_cell(field.description or '')} | {_cell(_choices(field))} | {_cell(default)} |")
    lines.append("")
    for place, section in inner:
        lines += _section(section, name=place)
    return lines


def _settings_in(annotation: Any) -> type[Settings] | None:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _settings_in(part)) is not None), None)


def _choices(field: FieldInfo) -> str:
    parts = [_type_name(field.annotation)]
    names = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    for limit in field.metadata:
        parts += [f"{words} {getattr(limit, name)}" for name, words in names.items() if hasattr(limit, name)]
    return ", ".join(parts)


def _type_name(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{value}`" for value in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(_type_name(part) for part in typing.get_args(annotation)).replace("NoneType", "`null`")
    if typing.get_origin(annotation) is tuple:
        return f"list of {_type_name(typing.get_args(annotation)[0])}"
    return getattr(annotation, "__name__", str(annotation))


def _plain(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def describe_notebook(file: Path) -> str:
    """Cells of a notebook, one after another."""
    parts = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
