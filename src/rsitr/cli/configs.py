"""`rsitr configs`: the packaged configs of trainings."""

from __future__ import annotations

from typing import Annotated

import typer


def configs(
    name: Annotated[
        str | None, typer.Argument(help="A packaged config by name, or the path of a YAML file: it is printed.")
    ] = None,
) -> None:
    """List the configs that `rsitr train` knows by name, or print one, to be read or to start one's own from."""
    from rsitr.cli.output import console, make_table
    from rsitr.config import describe_config, find_config, list_configs

    if name is not None:
        typer.echo(find_config(name).read_text(encoding="utf-8"), nl=False)
        return
    table = make_table("config", "what it trains", title="Packaged configs")
    for known in list_configs():
        table.add_row(known, describe_config(known))
    console().print(table)
