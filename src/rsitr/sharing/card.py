"""A model's card: a README.md as the hub reads it, made of what the checkpoint and reports about it record.

What is not recorded is not said: no figure here comes from anywhere but `rsitr evaluate` and the training itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rsitr.catalogue import CATALOGUE as MODELS
from rsitr.data.catalogue import CATALOGUE as DATA_SETS
from rsitr.errors import ConfigError
from rsitr.extras import has_package
from rsitr.files import write_file
from rsitr.models.checkpoint import CheckpointConfig, fingerprint_folder, read_config
from rsitr.sharing.paths import hide_paths, is_path

__all__ = ["CARD_FILE", "CardFile", "Licence", "find_front", "make_card", "name_on_hub", "write_card"]

CARD_FILE = "README.md"
SIGNED = re.compile(r"<!-- made by `rsitr card`, SHA-256 of what stands above: ([0-9a-f]{64}) -->\n?\Z")
FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
HUB_LICENCES = frozenset(
    {
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "isc"),
        *("cc", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0"),
        *("cc-by-nc-nd-4.0", "odc-by", "odbl", "pddl", "openrail", "unlicense", "zlib", "other"),
    }
)
"""Those that the hub knows by such a name, of the usual ones; others are `other`, with a name."""
REPORT_KEYS = {"model", "data", "split", "mR", "image_to_text", "text_to_image", "settings"}


@dataclass(frozen=True, slots=True)
class Licence:
    """Under which licence a model is handed on.

    Attributes:
        name: by the hub's name, e.g. `apache-2.0`, or in words.
        link: to its text, for one that the hub does not know.
    """

    name: str
    link: str | None = None

    def front(self) -> dict[str, str]:
        """As the front of a card has it."""
        if self.name.lower() in HUB_LICENCES:
            return {"license": self.name.lower()} | ({"license_link": self.link} if self.link else {})
        return {"license": "other", "license_name": self.name} | ({"license_link": self.link} if self.link else {})


@dataclass(frozen=True, slots=True)
class CardFile:
    """A card that was written.

    Attributes:
        path: of it.
        licence: that it states, or None.
        reports: whose figures are in it.
        left_out: reports beside the checkpoint that are of other weights.
    """

    path: Path
    licence: str | None
    reports: tuple[Path, ...]
    left_out: tuple[Path, ...]


def write_card(
    folder: Path,
    *,
    reports: Sequence[Path] = (),
    licence: Licence | None = None,
    out: Path | None = None,
    force: bool = False,
) -> CardFile:
    """Write the card of a checkpoint.

    Args:
        folder: of the checkpoint.
        reports: what `rsitr evaluate --json FILE` wrote about it; those that lie in the folder, or in its folder
            `reports`, are found without being named.
        licence: None keeps what the card that is there states.
        out: the file; `README.md` of the checkpoint when None.
        force: replace a card that a person has written or edited.

    Raises:
        ModelError: it is no checkpoint.
        ConfigError: a report is none, or of other weights; or a card is there that a person has written or edited.
    """
    path = out or folder / CARD_FILE
    there = path.read_text(encoding="utf-8") if path.is_file() else None
    if there is not None and not force and not _is_ours(there):
        raise ConfigError(f"{path} was written or edited by a person: --force replaces it, --out FILE writes another")
    front = (
        licence.front() if licence else {k: v for k, v in find_front(there or "").items() if k.startswith("license")}
    )
    fingerprint = fingerprint_folder(folder)
    named = {report: _read_report(report) for report in reports}
    for report, found in named.items():
        if found is None:
            raise ConfigError(f"{report} is no report of `rsitr evaluate --json FILE`")
        if found["settings"].get("fingerprint") != fingerprint:
            raise ConfigError(
                f"{report} is of other weights or settings than {folder}: measure again, `rsitr evaluate`"
            )
    beside = {
        file: found
        for file in sorted([*folder.glob("*.json"), *folder.glob("reports/*.json")])
        if file not in named and (found := _read_report(file)) is not None
    }
    used = named | {file: one for file, one in beside.items() if one["settings"].get("fingerprint") == fingerprint}
    text = make_card(read_config(folder), reports=[one for one in used.values() if one], licence=front)
    write_file(path, text)
    return CardFile(
        path=path,
        licence=front.get("license_name") or front.get("license"),
        reports=tuple(used),
        left_out=tuple(file for file in beside if file not in used),
    )


def make_card(
    config: CheckpointConfig, *, reports: Sequence[Mapping[str, Any]] = (), licence: Mapping[str, str] | None = None
) -> str:
    """The text of a card.

    Args:
        config: of the checkpoint.
        reports: about it, as `rsitr evaluate --json` writes them.
        licence: keys of the front that state one.
    """
    front = _front(config, reports=reports, licence=licence or {})
    parts = [
        _introduce(config),
        _tell_measured(config, reports),
        _tell_data(config),
        _tell_training(config),
        _tell_use(config, licence or {}),
    ]
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)
    text = f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n\n"
    return f"{text}<!-- made by `rsitr card`, SHA-256 of what stands above: {_digest(text)} -->\n"


def find_front(text: str) -> dict[str, Any]:
    """What the front of a card says; nothing where it has none that can be read."""
    found = FRONT.match(text.replace("\r\n", "\n"))
    try:
        front = yaml.safe_load(found[1]) if found else {}
    except yaml.YAMLError:
        return {}
    return front if isinstance(front, dict) else {}


def name_on_hub(name: str | None) -> str | None:
    """The hub's repository of a model that a config or an adapter names; None where it has none that is known."""
    if not name or is_path(name):
        return None
    known = MODELS.get(name)
    if known is not None:
        return known.repository
    architecture, _, tag = name.partition(":")
    if tag.startswith("hf-hub:"):
        return "/".join(tag.removeprefix("hf-hub:").split("/")[:2])
    if tag and has_package("open_clip"):
        import open_clip

        found = open_clip.get_pretrained_cfg(architecture, tag).get("hf_hub", "").strip("/")
        return "/".join(found.split("/")[:2]) or None
    return name if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).exists() else None


def _base_name(config: CheckpointConfig) -> str | None:
    if config.base:
        return str(config.base.get("name"))
    model = _trained_with(config).get("model", {})
    init = model.get("init")
    return f"{config.model.get('architecture')}:{init}" if init and config.kind == "open_clip" else init


def _trained_with(config: CheckpointConfig) -> dict[str, Any]:
    found = config.training.get("config")
    return found if isinstance(found, dict) else {}


def _sets(config: CheckpointConfig) -> list[str]:
    digests = config.training.get("data_sha256")
    return list(_trained_with(config).get("data", {}).get("sets", digests if isinstance(digests, dict) else ()))


def _front(
    config: CheckpointConfig, *, reports: Sequence[Mapping[str, Any]], licence: Mapping[str, str]
) -> dict[str, Any]:
    base = name_on_hub(_base_name(config))
    fusion = config.kind == "fusion"
    front: dict[str, Any] = {
        "language": ["en"],
        **licence,
        "library_name": "rsitr",
        "pipeline_tag": "feature-extraction" if fusion else "zero-shot-image-classification",
        "tags": ["rsitr", "remote-sensing", "image-text-retrieval", *(["peft", "lora"] if config.base else [])],
    }
    if sets := _sets(config):
        front["datasets"] = sets
    if base:
        front |= {"base_model": base, "base_model_relation": "adapter" if config.base else "finetune"}
    if reports:
        front["model-index"] = [{"name": config.name, "results": [_result(report) for report in reports]}]
    return front


def _result(report: Mapping[str, Any]) -> dict[str, Any]:
    name = _set_name(report)
    metrics = [{"type": "mean_recall", "name": "mR", "value": _number(report["mR"])}]
    for direction in ("image_to_text", "text_to_image"):
        words = direction.replace("_", " ")
        metrics += [
            {"type": f"recall_at_{depth.removeprefix('R@')}", "name": f"{depth}, {words}", "value": _number(value)}
            for depth, value in report[direction].items()
        ]
    return {
        "task": {"type": "image-text-retrieval", "name": "Image-text retrieval"},
        "dataset": {"type": name, "name": _title(name), "split": str(report["split"])},
        "metrics": metrics,
    }


def _introduce(config: CheckpointConfig) -> str:
    architecture = config.model.get("architecture")
    what = f"`{config.kind}`" + (f", {architecture}" if architecture else "")
    lines = [
        f"# {config.name}",
        "",
        f"Remote-sensing pictures by words, and words by pictures: a model of kind {what}.",
    ]
    if config.base:
        base = hide_paths(str(config.base.get("name")))
        lines += [
            "",
            f"These are adapters (LoRA), in the format of peft; they belong to the model `{base}`, whose weights have "
            f"the digest `{config.base.get('weights_sha256')}`, and to no other.",
        ]
    made = {name: config.training[name] for name in ("version", "commit") if config.training.get(name)}
    if made:
        lines += ["", "Trained with rsitr, " + ", ".join(f"{name} {value}" for name, value in made.items()) + "."]
    return "\n".join(lines)


def _tell_measured(config: CheckpointConfig, reports: Sequence[Mapping[str, Any]]) -> str:
    lines = ["## Measured", ""]
    if reports:
        lines += [
            "mR is the mean of R@1, R@5 and R@10 in both directions, in percent, in expectation over ties; the ceiling "
            "is the most that any model can reach on that split, whose captions repeat.",
            "",
            "| data | split | pictures | texts | mR | ceiling | image to text, R@1 / 5 / 10 | text to image |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for report in reports:
            sides = [
                " / ".join(f"{value:.2f}" for value in report[side].values())
                for side in ("image_to_text", "text_to_image")
            ]
            ceiling = report.get("mR_ceiling")
            lines.append(
                f"| {_title(_set_name(report))} | {report['split']} | {report.get('n_images', '')} | "
                f"{report.get('n_texts', '')} | {report['mR']:.2f} | {'' if ceiling is None else f'{ceiling:.2f}'} | "
                f"{sides[0]} | {sides[1]} |"
            )
        lines.append("")
        for report in reports:
            origin = ", ".join(str(report[name]) for name in ("version", "commit") if report.get(name))
            command = hide_paths({"command": report.get("command", "")})["command"]
            lines.append(
                f"- {_title(_set_name(report))} {report['split']}: `{command}`; "
                f"annotations `{report.get('data_sha256')}`" + (f"; rsitr {origin}" if origin else "")
            )
    else:
        lines.append("No report of `rsitr evaluate` was at hand when this card was made.")
    chosen = config.training.get("validation") or {}
    if chosen:
        told = ", ".join(f"{name} {value:.2f}" for name, value in chosen.items())
        lines += [
            "",
            f"In training, on the validation splits by which its epoch was chosen, which flatters them: {told}.",
        ]
    return "\n".join(lines)


def _tell_data(config: CheckpointConfig) -> str:
    training = config.training
    lines = ["## Trained on", ""]
    digests = training.get("data_sha256")
    for name in _sets(config):
        known = DATA_SETS.get(name)
        digest = digests.get(name) if isinstance(digests, dict) else None
        lines.append(
            f"- {_title(name)}"
            + (f": {known.citation}" if known else "")
            + (f"; annotations `{digest}`" if digest else "")
        )
    if "n_images" in training:
        counted = f"{training['n_images']:,} pictures" + (
            f", {training['n_rows']:,} captions" if "n_rows" in training else ""
        )
        lines += ["", f"{counted}; SHA-256 of their ids `{training.get('ids_sha256', 'not recorded')}`."]
    if len(lines) == 2:
        lines.append("Its checkpoint does not record on what.")
    lines += ["", "The data have terms of their own, their publishers'; the licence above is that of the weights."]
    return "\n".join(lines)


def _tell_training(config: CheckpointConfig) -> str:
    lines = ["## Train it again", ""]
    trained_with = _trained_with(config)
    if not trained_with:
        return "\n".join([*lines, "Its checkpoint does not record the config of its training."])
    if command := config.training.get("command"):
        lines += ["    " + hide_paths({"command": command})["command"], ""]
    text = yaml.safe_dump(hide_paths(json.loads(json.dumps(trained_with))), sort_keys=False, width=1000)
    return "\n".join([*lines, "with this config:", "", "```yaml", text.rstrip(), "```"])


def _tell_use(config: CheckpointConfig, licence: Mapping[str, str]) -> str:
    extra = '\n    pip install "rsitr[adapters]"' if config.base else '\n    pip install "rsitr[train]"'
    stated = licence.get("license_name") or licence.get("license")
    return "\n".join(
        [
            "## Use and limits",
            f"{extra}",
            "    rsitr index scenes/ --into new.index --model FOLDER"
            if config.kind != "fusion"
            else "    rsitr evaluate FOLDER --data ucm:DATA",
            "",
            "FOLDER is a copy of these files. Meant for finding places in satellite and aerial imagery by English "
            "words or by example, and for research on that. On other sensors, ground resolutions, regions and "
            "languages than those of the data named above nothing was measured, and a high score is no proof that a "
            "thing is there.",
            "",
            f"Licence of the weights: {stated}." if stated else "No licence of the weights is stated.",
        ]
    )


def _set_name(report: Mapping[str, Any]) -> str:
    return str(report["data"]).partition(":")[0]


def _title(name: str) -> str:
    return DATA_SETS[name].title if name in DATA_SETS else str(name)


def _number(value: Any) -> float:
    return round(float(value), 2)


def _read_report(file: Path) -> dict[str, Any] | None:
    """A report; None for any other file."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    whole = isinstance(found, dict) and found.keys() >= REPORT_KEYS and isinstance(found["settings"], dict)
    return found if whole else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _is_ours(text: str) -> bool:
    """Whether a card is as it was made."""
    found = SIGNED.search(text)
    return found is not None and _digest(text[: found.start()]) == found[1]
