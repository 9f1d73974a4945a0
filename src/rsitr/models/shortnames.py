"""From a short name of the catalogue to its model: a file or folder that a person has put there, else the hub."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from rsitr.catalogue import OPEN_CLIP_FILE, KnownModel, find_known, models_folder
from rsitr.errors import ModelError
from rsitr.extras import need
from rsitr.models.encoder import TorchEncoder
from rsitr.models.huggingface import load_transformers
from rsitr.types import GLOBAL_ONLY

__all__ = ["fetch_folder", "has_network", "load_known"]

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
    if not has_network():  # the hub's client would try for half a minute, and tell of each time
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
        raise ModelError(_say_missing(known, f"and the hub does not give them: {_first_line(error)}")) from error


def fetch_folder(repository: str) -> Path:
    """The folder of a repository of the hub: where a person has put it, in the hub client's cache, or fetched.

    Raises:
        ModelError: it is not here and cannot be fetched; the message says what to do.
    """
    need("huggingface_hub", what=f"{repository} on the hub", error=ModelError)
    from huggingface_hub import snapshot_download

    place = models_folder() / repository
    if (place / "config.json").is_file():
        return place
    missing = (
        f"{repository} is not here, {{}}; fetch it where there is a network: `hf download {repository}`, into {place}"
    )
    patterns = list(FOLDER_FILES)
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=not has_network()))
    except OSError as error:  # no network, or told to go without
        raise ModelError(missing.format("and the hub cannot be reached")) from error
    except Exception as error:  # the hub client raises many kinds
        raise ModelError(missing.format(f"and the hub does not give it: {_first_line(error)}")) from error


def has_network() -> bool:
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".:")


def _say_missing(known: KnownModel, reason: str) -> str:
    size = f"{known.size_bytes / 1e6:,.0f} MB"
    if known.form == "transformers":
        how = f"fetch {known.address} ({size}) where there is a network, `hf download {known.repository}`, into"
    elif known.address.endswith(".zip"):
        how = f"download {known.address}, and put the {Path(known.file or '').name} in it ({size} of weights) at"
    else:
        how = f"download {known.address} ({size}), and put it at"
    return f"{known.name}: its weights are not here, {reason}; {how} {known.place} (RSITR_MODELS names another folder)"
