"""`rsitr card` and `rsitr push`: a trained model described, and handed to others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsitr.cli.output import AsJson
from rsitr.errors import ConfigError

if TYPE_CHECKING:
    from rsitr.sharing import Plan

__all__ = ["card", "push"]


def card(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Folder of a trained model, or of an adapter.")
    ],
    report: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What `rsitr evaluate --json FILE` wrote about it. Repeatable."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="Of the weights: apache-2.0, cc-by-nc-4.0, or in words."),
    ] = None,
    link: Annotated[str | None, typer.Option("--license-link", metavar="URL", help="Of its text.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it here. [default: CHECKPOINT/README.md]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a card that a person has written or edited.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a model's card as the hub reads it, from what its checkpoint and reports about it record.

    Reports that lie beside the checkpoint, or in its folder `reports`, are found; those of other weights are left out.
    """
    from rsitr.cli.output import print_json, screen
    from rsitr.cli.results_training import CardResult
    from rsitr.sharing import Licence, write_card

    if link is not None and licence is None:
        raise ConfigError("--license-link belongs to a licence: say --license, too")
    stated = None if licence is None else Licence(licence, link)
    made = write_card(checkpoint, reports=report or [], licence=stated, out=out, force=force)
    if as_json:
        print_json(
            CardResult(
                file=str(made.path),
                licence=made.licence,
                reports=[str(file) for file in made.reports],
                left_out=[str(file) for file in made.left_out],
            )
        )
    else:
        to = screen()
        to.print(f"{made.path}: with the figures of {len(made.reports)} report{'s' * (len(made.reports) != 1)}")
        for file in made.left_out:
            to.print(f"left out: {file}, which is of other weights or settings")
        if made.licence is None:
            to.print("It states no licence, and without one nobody may use the model: --license ID")
    if made.left_out:
        raise typer.Exit(1)


def push(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Folder of a trained model, or of an adapter.")
    ],
    repository: Annotated[
        str | None, typer.Argument(metavar="[REPO]", help="On the Hugging Face hub: OWNER/NAME.", show_default=False)
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Write the files here instead; nothing is sent.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of an adapter: its base as others have it, OWNER/NAME or open_clip's NAME:TAG."
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private, if it is made.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go, and where; nothing is sent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a model to the Hugging Face hub: its weights, config and card, and nothing else of its folder.

    The card must state a licence (`rsitr card CHECKPOINT --license ID`). This machine's paths are taken out of configs.
    """
    from rsitr.cli.output import print_json
    from rsitr.cli.results_training import PushResult
    from rsitr.sharing import plan_push, push_to_folder, push_to_hub
    from rsitr.sharing.push import require_repository

    if (repository is None) == (to is None):
        raise ConfigError("say where to: REPO, OWNER/NAME on the hub, or --to FOLDER")
    if repository is not None:
        require_repository(repository)
    plan = plan_push(checkpoint, base=base)
    target = str(to) if to is not None else str(repository)
    if not dry_run and to is not None:
        push_to_folder(plan, to)
    elif not dry_run and repository is not None:
        target = push_to_hub(plan, repository, private=private)
    if as_json:
        sizes = {file.name: file.size_bytes for file in plan.files}
        print_json(PushResult(target=target, dry_run=dry_run, files=sizes, left_out=list(plan.left_out)))
    else:
        _tell(plan, target=target, dry_run=dry_run, private=private)
    if plan.lacks_calibration:
        raise typer.Exit(1)


def _tell(plan: Plan, *, target: str, dry_run: bool, private: bool) -> None:
    from rsitr.cli.output import console, make_table

    out = console()
    table = make_table("file", "bytes", "", title="Would go" if dry_run else "Went", numbers=("bytes",))
    for file in plan.files:
        table.add_row(file.name, f"{file.size_bytes:,}", "without this machine's paths" if file.content else "")
    out.print(table)
    if plan.left_out:
        out.print(f"stays here: {', '.join(plan.left_out)}")
    if plan.lacks_calibration:
        out.print("A calibration is of files to the letter, and paths left these: `rsitr calibrate` makes theirs")
    where = f"{target}{' (private, if it is made)' if private else ''}"
    out.print(f"{plan.size_bytes:,} bytes {'would go' if dry_run else 'went'} to {where}")
