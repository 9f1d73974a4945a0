"""`rsitr models`: what can encode an index, how good it is known to be, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer

from rsitr.catalogue import CATALOGUE, KnownModel, Measured, list_here, models_folder
from rsitr.cli.output import AsJson, console, make_table, print_json
from rsitr.errors import ModelError

__all__ = ["ModelReply", "ModelsReply", "models", "tell_models"]


@dataclass(frozen=True, kw_only=True)
class ModelReply:
    """A model.

    Attributes:
        name: that `--model` takes.
        title: what its authors call it.
        is_packaged: whether it comes with rsitr.
        n_parameters: of both sides.
        size_bytes: of its weights.
        licence: of the weights, as their publisher states it.
        stated_in: where that is stated.
        measured: mean recall, with the data set, the split, and the source of the figure.
        needs: what has to be there beside rsitr.
        is_here: whether its weights are on this machine.
        place: where they are, or else where they are looked for before the hub is asked.
        address: where a person gets them.
        command: how an index is made with it.
    """

    name: str
    title: str
    is_packaged: bool
    n_parameters: int
    size_bytes: int
    licence: str
    stated_in: str
    measured: list[Measured]
    needs: list[str]
    is_here: bool
    place: str | None
    address: str
    command: str


@dataclass(frozen=True, kw_only=True)
class ModelsReply:
    """What `rsitr models --json` tells.

    Attributes:
        folder: where weights are looked for.
        models: that have a short name.
    """

    folder: str
    models: list[ModelReply]


def models(
    name: str | None = typer.Argument(None, metavar="[NAME]", help="Tell all of this one."),
    as_json: AsJson = False,
) -> None:
    """List the models that have a short name, with size, licence, and what is known of how good they are.

    Others are named by their folder, be it of adapters (LoRA), or as open_clip names them; the guide on published
    checkpoints says how.
    """
    told = tell_models(name)
    if as_json:
        print_json(told)
    elif name is not None:
        _print_one(told.models[0])
    else:
        _print_all(told)


def tell_models(name: str | None = None) -> ModelsReply:
    """The models of the catalogue, or one of them.

    Raises:
        ModelError: there is none of this name.
    """
    if name is not None and name not in CATALOGUE:
        raise ModelError(f"no model is called {name!r}; those that have a short name are {', '.join(CATALOGUE)}")
    here = list_here()
    chosen = [known for known in CATALOGUE.values() if name in {None, known.name}]
    return ModelsReply(folder=str(models_folder()), models=[_tell(known, here.get(known.name)) for known in chosen])


def _tell(known: KnownModel, found: Path | None) -> ModelReply:
    place = found or known.place
    return ModelReply(
        name=known.name,
        title=known.title,
        is_packaged=known.is_packaged,
        n_parameters=known.n_parameters,
        size_bytes=known.size_bytes,
        licence=known.licence,
        stated_in=known.stated_in,
        measured=list(known.measured),
        needs=list(known.needs),
        is_here=known.is_packaged or found is not None,
        place=None if place is None else str(place),
        address=known.address,
        command=known.command,
    )


def _print_all(told: ModelsReply) -> None:
    from rsitr.cli.info import format_size

    table = make_table("model", "size", "mR", "licence", "weights", title="Models", numbers=("size",))
    for one in told.models:
        here = "packaged" if one.is_packaged else "here" if one.is_here else "to fetch"
        table.add_row(one.name, format_size(one.size_bytes), _say_measured(one), one.licence, here)
    out = console()
    out.print(table)
    out.print("mR: mean recall, of different splits, so not to be compared across rows; --json has the sources.")
    out.print(f"Weights are looked for in {told.folder}/NAME, then on the hub. `rsitr models NAME` says more of one.")
    out.print("Use one: rsitr index SCENES --into NEW.index --model NAME")


def _print_one(one: ModelReply) -> None:
    from rsitr.cli.info import format_size

    table = make_table("what", "value", title=one.title, header=False)
    table.add_row("name", one.name)
    table.add_row("size", f"{format_size(one.size_bytes)} ({one.n_parameters:,} parameters)")
    table.add_row("licence", f"{one.licence} ({one.stated_in})")
    for measured in one.measured:
        table.add_row("mR", f"{measured.mR:.2f} on {measured.data} {measured.split} ({measured.source})")
    if not one.measured:
        table.add_row("mR", "no figure is known whose source could be checked")
    for need in one.needs:
        table.add_row("needs", need)
    if one.place is not None:
        table.add_row("here" if one.is_here else "looked for at", one.place)
        table.add_row("from", one.address)
    table.add_row("use it", one.command)
    console().print(table)


def _say_measured(one: ModelReply) -> str:
    return ", ".join(f"{found.mR:.2f} {found.data} {found.split}" for found in one.measured) or "not known"
