"""From a short name of the catalogue to its model: a file or folder that a person has put there, else the hub."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from rsitr.catalogue import OPEN_CLIP_FILE, KnownModel, find_known
from rsitr.errors import ModelError
from rsitr.models.encoder import TorchEncoder
from rsitr.models.huggingface import load_transformers
from rsitr.types import GLOBAL_ONLY

__all__ = ["load_known"]

FOLDER_FILES = ("*.json", "*.safetensors", "*.model", "*.txt")
"""What of a repository of transformers makes its model."""


def load_known(known: KnownModel, *, device: str | None = None) -> TorchEncoder:
    """Load a model of the catalogue that is not packaged. Its similarity is global alone, as its authors measure it.

    Raises:
        ModelError: it is not here and cannot be fetched; the message says what to download and where to put it. Or what
            is here is not that model.
    """
    place = find_known(known) or _fetch(known)
    if known.form == "transformers":
        return load_transformers(place, name=known.name, device=device)
    from rsitr.models.openclip import load_open_clip  # slow to import, and for others not needed

    return load_open_clip(f"{known.architecture}:{place}", device=device, known_as=known.name, mixture=GLOBAL_ONLY)


def _fetch(known: KnownModel) -> Path:
    if known.repository is None:
        raise ModelError(_say_missing(known, "and not on the hub"))
    if not _has_network():  # the hub's client would try for half a minute, and tell of each time
        raise ModelError(_say_missing(known, "and the hub cannot be reached"))
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        if known.form == "transformers":
            return Path(snapshot_download(known.repository, allow_patterns=list(FOLDER_FILES)))
        return Path(hf_hub_download(known.repository, known.file or OPEN_CLIP_FILE))
    except (LocalEntryNotFoundError, OSError) as error:  # no network, or told to go without
        raise ModelError(_say_missing(known, "and the hub cannot be reached")) from error
    except Exception as error:  # the hub client raises many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".:")
        raise ModelError(_say_missing(known, f"and the hub does not give them: {reason}")) from error


def _has_network() -> bool:
    """Whether the hub's name leads anywhere; not asked where a proxy knows, or the client is to stay offline."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname
    if getproxies() or host is None or constants.HF_HUB_OFFLINE:
        return True
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def _say_missing(known: KnownModel, reason: str) -> str:
    size = f"{known.size_bytes / 1e6:,.0f} MB"
    if known.form == "transformers":
        how = f"fetch {known.address} ({size}) where there is a network, `hf download {known.repository}`, into"
    elif known.address.endswith(".zip"):
        how = f"download {known.address}, and put the {Path(known.file or '').name} in it ({size} of weights) at"
    else:
        how = f"download {known.address} ({size}), and put it at"
    return f"{known.name}: its weights are not here, {reason}; {how} {known.place} (RSITR_MODELS names another folder)"
