"""The kinds of models that there are: how each is restored from a checkpoint, started for a training, and recorded.

One table, `KINDS`; a kind of one's own is registered in it under another name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rsitr.config import ModelConfig, TrainConfig, parse
from rsitr.errors import ConfigError, ModelError
from rsitr.files import fingerprint_files
from rsitr.models.checkpoint import PACKAGED, Checkpoint, load_checkpoint, read_config
from rsitr.models.compact import CompactConfig, CompactDualEncoder
from rsitr.models.convert import CONVERTERS
from rsitr.models.dual import DualEncoder
from rsitr.models.encoder import DualModule
from rsitr.models.lexicon import Lexicon
from rsitr.models.lookout import LookoutConfig, LookoutDualEncoder
from rsitr.models.packages import PACKAGES, start_from_packages
from rsitr.models.preparing import EOS_ID, SEP_ID
from rsitr.models.start import find_checkpoint, take_weights
from rsitr.models.weight_files import require_fit
from rsitr.models.wordpiece import VOCABULARY_FILE, WordPieceVocabulary
from rsitr.registry import Registry

__all__ = ["KINDS", "Kind", "Reader", "build_model", "check_phases", "model_settings", "name_base"]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How a model's texts become ids.

    Attributes:
        tokenizer: texts -> ids (n, M).
        end_id: the id that ends each.
        lexicon: what the text side can know, from the words of its captions; None for a text side that is not asked.
    """

    tokenizer: Callable[[list[str]], Tensor]
    end_id: int
    lexicon: Callable[[Sequence[str]], Lexicon] | None = None


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of dual encoder.

    Attributes:
        restore: from the `model` settings of a checkpoint, to load its weights into; raises TypeError or ConfigError
            for settings that it does not know.
        read: how its texts become ids, from the model and its checkpoint.
        start: the model to train, from a config, the folder of data sets and of `init/`, and whom to tell what was
            taken; None for a kind that `rsitr train` does not train.
        record: what of a trained model goes into the `model` settings of its checkpoint.
        resize: how pictures are brought to its size when it is trained, `squash` or `crop`.
        interpolation: with what.
    """

    restore: Callable[[Mapping[str, Any]], nn.Module]
    read: Callable[[nn.Module, Checkpoint], Reader]
    start: Callable[[ModelConfig, Path | None, Callable[[str], None]], nn.Module] | None = None
    record: Callable[[nn.Module, ModelConfig], dict[str, Any]] = lambda _model, config: dict(config.settings)
    resize: str = "squash"
    interpolation: str = "bilinear"


KINDS: Registry[Kind] = Registry("kind of model", group="kinds", error=ModelError)
"""By the `kind` of a config or checkpoint."""


def build_model(
    config: ModelConfig, *, root: Path | None, on_note: Callable[[str], None] = lambda _note: None
) -> DualModule:
    """The model to train, from its initial weights.

    Args:
        config: what to build.
        root: initial weights are also looked for in `init/` of this folder.
        on_note: told what was taken from a checkpoint.

    Raises:
        ConfigError: the settings name nothing that exists.
        ModelError: there is no such kind, or the initial weights are missing or others than expected.
    """
    start = KINDS[config.kind].start
    if start is None:
        raise ConfigError(f"a model of kind {config.kind} is not trained; use compact, lookout or open_clip")
    return cast("DualModule", start(config, root, on_note))


def model_settings(model: nn.Module, *, config: ModelConfig) -> dict[str, Any]:
    """What the model has to be built from again."""
    return KINDS[config.kind].record(model, config)


def name_base(config: ModelConfig, model: nn.Module) -> str:
    """The name by which the whole of the model that a training starts from can be loaded again, for adapters on it.

    Args:
        config: of the model.
        model: as :func:`build_model` gives it.

    Raises:
        ConfigError: the training starts from no whole model.
        ModelError: the model that it starts from has other parts than this one.
    """
    trained = _find_trained(config)
    if config.init is not None and trained is not None:
        architecture = f"the model of kind {config.kind} that model.settings describe"
        weights = load_checkpoint(trained).weights
        require_fit(weights, model.state_dict(), what=config.init, architecture=architecture)
        return config.init if trained.parent == PACKAGED else str(trained.absolute())
    if config.kind == "open_clip" and config.init is not None:
        init = Path(config.init)
        return f"{config.settings['architecture']}:{init.absolute() if init.is_file() else config.init}"
    raise ConfigError(
        "adapters are trained on a whole model, and model.init is "
        f"{'null' if config.init is None else f'{config.init!r}, weights of a part'}: name a trained model there"
    )


def _find_trained(config: ModelConfig) -> Path | None:
    """The checkpoint folder that a config starts from, if it is one."""
    trained = None if config.init is None else find_checkpoint(config.init, packaged=PACKAGED)
    if trained is not None and config.init_sha256 is not None:
        raise ConfigError(f"model.init_sha256 is about a file, and model.init {config.init!r} a folder; leave it out")
    return trained


def _start_compact(config: ModelConfig, root: Path | None, on_note: Callable[[str], None]) -> nn.Module:
    trained = _find_trained(config)
    settings = parse(CompactConfig, config.settings, where="model.settings")
    model = CompactDualEncoder(settings)
    if trained is not None:
        on_note(take_weights(model, trained, kind=config.kind))
    elif config.init is not None:
        path = _find_initial_weights(config.init, root=root)
        _check_sha256(path, expected=config.init_sha256)
        try:
            model.image.trunk.load_state_dict(CONVERTERS[settings.trunk](load_file(path)))
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path} does not hold the weights of trunk {settings.trunk} ({reason})") from error
    return model


def _start_lookout(config: ModelConfig, _root: Path | None, on_note: Callable[[str], None]) -> nn.Module:
    trained = _find_trained(config)
    model = LookoutDualEncoder(parse(LookoutConfig, config.settings, where="model.settings"))
    if trained is not None:
        on_note(take_weights(model, trained, kind=config.kind))
    elif config.init == PACKAGES:
        on_note(start_from_packages(model))
    elif config.init is not None:
        raise ModelError(
            f"model.init {config.init!r} is no trained model of kind lookout: name the folder of one, or {PACKAGES}"
        )
    return model


def _start_open_clip(config: ModelConfig, _root: Path | None, on_note: Callable[[str], None]) -> nn.Module:
    from rsitr.models.openclip import OpenClipDualEncoder, create_open_clip  # slow to import, as below

    trained = _find_trained(config)
    architecture = config.settings.get("architecture")
    if not isinstance(architecture, str) or len(config.settings) > 1:
        raise ConfigError(
            "model.settings of kind open_clip are the architecture and nothing else, e.g. "
            f"{{architecture: ViT-B-32-quickgelu}}, not {config.settings}"
        )
    if trained is not None:
        # The activation that its weights were trained with, whatever the architecture's name says.
        quick = bool(read_config(trained).model.get("quick_gelu", False))
        clip = OpenClipDualEncoder.from_architecture(architecture, quick_gelu=quick)
        on_note(take_weights(clip, trained, kind=config.kind))
        return clip
    if config.init is None:
        return OpenClipDualEncoder.from_architecture(architecture)
    if config.init_sha256 is not None:
        if not Path(config.init).is_file():
            raise ConfigError(
                f"model.init_sha256 is about a file, and model.init {config.init!r} is none; leave it out"
            )
        _check_sha256(Path(config.init), expected=config.init_sha256)
    return OpenClipDualEncoder.of(create_open_clip(f"{architecture}:{config.init}"))


def _restore_open_clip(settings: Mapping[str, Any]) -> nn.Module:
    from rsitr.models.openclip import OpenClipDualEncoder

    return OpenClipDualEncoder.from_architecture(**settings)


def _record_open_clip(model: nn.Module, config: ModelConfig) -> dict[str, Any]:
    # The activation may have come with the weights' tag, which a checkpoint does not know.
    return {**config.settings, "quick_gelu": cast("Any", model).quick_gelu}


def _read_bpe(model: nn.Module, _checkpoint: Checkpoint) -> Reader:
    from rsitr.models.bpe import clip_tokenizer

    length = cast("DualEncoder", model).context_length
    return Reader(tokenizer=clip_tokenizer(length), end_id=EOS_ID)


def _read_word_pieces(model: nn.Module, checkpoint: Checkpoint) -> Reader:
    length = cast("DualEncoder", model).context_length
    vocabulary = WordPieceVocabulary(checkpoint.folder / VOCABULARY_FILE, context_length=length)

    def lexicon(known: Sequence[str]) -> Lexicon:
        embed = cast("LookoutDualEncoder", model).text.embed_words
        return Lexicon(vocabulary.numbers, embed=lambda ids: embed(torch.tensor(ids)).numpy(), known=known)

    return Reader(tokenizer=lambda texts: torch.from_numpy(vocabulary.encode(texts)), end_id=SEP_ID, lexicon=lexicon)


KINDS.register(
    "compact",
    Kind(
        restore=lambda settings: CompactDualEncoder(CompactConfig(**settings)),
        read=_read_bpe,
        start=_start_compact,
        record=lambda model, _config: dataclasses.asdict(cast("CompactDualEncoder", model).config),
    ),
)
KINDS.register(
    "lookout",
    Kind(
        restore=lambda settings: LookoutDualEncoder(LookoutConfig(**settings)),
        read=_read_word_pieces,
        start=_start_lookout,
        record=lambda model, _config: dataclasses.asdict(cast("LookoutDualEncoder", model).config),
    ),
)
KINDS.register(
    "open_clip",
    Kind(
        restore=_restore_open_clip,
        read=_read_bpe,
        start=_start_open_clip,
        record=_record_open_clip,
        resize="crop",
        interpolation="bicubic",
    ),
)


def _find_initial_weights(name: str, *, root: Path | None) -> Path:
    places = [Path(name).expanduser()] if root is None else [Path(name).expanduser(), root / "init" / name]
    for path in places:
        if path.is_file():
            return path
    raise ModelError(
        f"initial weights {name} are not there (looked for {' and '.join(map(str, places))}); the model card says "
        "where to get them"
    )


def _check_sha256(path: Path, *, expected: str | None) -> None:
    found = fingerprint_files(path)
    if expected is not None and found != expected:
        raise ModelError(f"{path} has SHA-256 {found}, the config expects {expected}: it is another file")


def check_phases(config: TrainConfig, *, size_px: int) -> None:
    """Raise ConfigError where a phase sets something that this kind of model would not heed."""
    for number, phase in enumerate(config.phases, start=1):
        if config.model.kind == "open_clip" and phase.trunk_lr is not None:
            raise ConfigError(f"phase {number}: trunk_lr is for the compact model's trunk; leave it out")
        if phase.image_size_px in (None, size_px):
            continue
        if config.model.kind == "open_clip":
            raise ConfigError(f"phase {number}: image_size_px must be the model's own {size_px}; leave it out")
        if phase.trunk_lr is None:
            raise ConfigError(
                f"phase {number}: image_size_px has no effect without trunk_lr, on cached features; leave it out"
            )
