"""`rsitr configs`: the packaged configs of trainings."""

from __future__ import annotations

from typing import Annotated

import typer

from rsitr.cli.output import AsJson


def configs(
    name: Annotated[
        str | None, typer.Argument(help="A packaged config by name, or the path of a YAML file: it is printed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the configs that `rsitr train` knows by name, or print one, to be read or to start one's own from."""
    from rsitr.cli.output import console, make_table, print_json
    from rsitr.cli.results_training import ConfigsResult
    from rsitr.config import describe_config, find_config, list_configs, load_config

    if name is not None and as_json:
        print_json(load_config(name).model_dump(mode="json"))
        return
    if name is not None:
        typer.echo(find_config(name).read_text(encoding="utf-8"), nl=False)
        return
    if as_json:
        print_json(ConfigsResult(configs=[{"name": one, "about": describe_config(one)} for one in list_configs()]))
        return
    table = make_table("config", "what it trains", title="Packaged configs")
    for known in list_configs():
        table.add_row(known, describe_config(known))
    console().print(table)
