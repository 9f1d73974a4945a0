"""`rsitr data keywords`: the words that keyword masking hides, counted over training captions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsitr.cli.output import AsJson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from rsitr.data.keywords import KeywordComparison, Rule

__all__ = ["keywords"]


def keywords(
    specs: list[str] = typer.Argument(
        ..., metavar="DATA...", help="NAME:FOLDER, csv:FILE or shards:FILES; one or several."
    ),
    top_k: int = typer.Option(512, min=1, metavar="K", help="Words per data set; merged, they are fewer than the sum."),
    rule: str = typer.Option(
        "frequency",
        metavar="RULE",
        help="`frequency`, or `published`: count only what captions of one picture share, as EBAKER's lists did.",
    ),
    splits: str = typer.Option("train", metavar="SPLIT,...", help="Whose captions are counted."),
    out_file: Path | None = typer.Option(None, "--out", metavar="FILE", help="Write the list, one word per line."),
    compare_file: Path | None = typer.Option(
        None, "--compare", metavar="FILE", help="A list to compare with: what both have, what is missing and why."
    ),
    as_json: AsJson = False,
) -> None:
    """List the most frequent words of the training captions, stop words left out.

    The words of each data set are ranked, and merged without duplicates. A training takes a list as `keywords.file`.
    Without --out they go to stdout, one per line, and everything else to stderr.
    """
    import sys
    from typing import cast, get_args

    from rsitr.cli.output import console
    from rsitr.data.keywords import Rule, collect_keywords, compare_keywords, read_keywords, write_keywords
    from rsitr.errors import ConfigError
    from rsitr.files import require_writable

    if rule not in get_args(Rule):
        raise ConfigError(f"--rule is {rule!r}; it may be {', '.join(get_args(Rule))}")
    counted = cast("Rule", rule)
    if out_file is not None:
        require_writable(out_file)
    reference = read_keywords(compare_file) if compare_file is not None else None
    captions = _load_captions(specs, splits=splits.split(","))
    words = collect_keywords(captions, top_k=top_k, rule=counted)
    out = console(sys.stderr if out_file is None else sys.stdout)
    out.quiet = as_json
    if out_file is not None:
        write_keywords(out_file, words)
    elif not as_json:
        for word in words:
            typer.echo(word)
    _print_summary(captions, words=words, top_k=top_k, rule=counted, out=out)
    comparison = None
    if reference is not None:
        comparison = compare_keywords(words, reference=reference, captions_by_set=captions, rule=counted)
    if as_json:
        _print_json(words, captions, top_k=top_k, rule=counted, out_file=out_file, comparison=comparison)
    elif comparison is not None:
        _print_comparison(comparison, name=str(compare_file), out=out)


def _print_json(
    words: Sequence[str],
    captions: Mapping[str, Sequence[Sequence[str]]],
    *,
    top_k: int,
    rule: Rule,
    out_file: Path | None,
    comparison: KeywordComparison | None,
) -> None:
    from dataclasses import asdict

    from rsitr.cli.output import print_json
    from rsitr.cli.results_training import KeywordsResult
    from rsitr.data.keywords import count_words

    sets = []
    for name, pictures in captions.items():
        n_words = len(count_words(pictures, rule=rule))
        n_captions = sum(map(len, pictures))
        told = {"name": name, "captions": n_captions, "different_words": n_words, "taken": min(top_k, n_words)}
        sets.append(told)
    compared = None if comparison is None else {**asdict(comparison), "share": comparison.share}
    file = None if out_file is None else str(out_file)
    print_json(KeywordsResult(words=list(words), file=file, sets=sets, comparison=compared))


def _load_captions(specs: Sequence[str], *, splits: Sequence[str]) -> dict[str, list[tuple[str, ...]]]:
    from rsitr.data.sources import load_dataset
    from rsitr.errors import ConfigError

    captions: dict[str, list[tuple[str, ...]]] = {}
    for place, spec in enumerate(specs):
        if spec in specs[:place]:
            raise ConfigError(f"{spec} is given twice: name each data set once")
        dataset = load_dataset(spec)
        name = dataset.name if dataset.name not in captions else spec
        for split in splits:
            dataset.split(split)  # an unknown one is an error
        captions[name] = [image.captions for image in dataset.images if image.split in splits]
    return captions


def _print_summary(
    captions: Mapping[str, Sequence[Sequence[str]]], *, words: Sequence[str], top_k: int, rule: Rule, out: Console
) -> None:
    from rich import box
    from rich.table import Table

    from rsitr.data.keywords import count_words

    table = Table(title=f"{len(words):,} keywords", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("data set")
    for column in ("captions", "different words", "taken", "least frequent"):
        table.add_column(column, justify="right")
    for name, pictures in captions.items():
        counts = [count for _, count in count_words(pictures, rule=rule).most_common()]
        taken = counts[:top_k]
        table.add_row(
            name, f"{sum(map(len, pictures)):,}", f"{len(counts):,}", f"{len(taken):,}", f"{taken[-1]:,} times"
        )
    out.print(table)


def _print_comparison(comparison: KeywordComparison, *, name: str, out: Console) -> None:
    listed = len(comparison.common) + len(comparison.missing)
    out.print(
        f"{len(comparison.common):,} of the {listed:,} words in {name} are here ({100 * comparison.share:.1f} %); "
        f"{len(comparison.missing):,} are missing, {len(comparison.added):,} are here and not there.",
        soft_wrap=True,
    )
    for word, reason in comparison.missing.items():
        out.print(f"  missing: {word}  ({reason})", soft_wrap=True)
    if comparison.added:
        out.print(f"  not there: {', '.join(comparison.added)}")
