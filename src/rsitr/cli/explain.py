"""`rsitr explain`: which part of a picture each word looks at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsitr.cli.output import AsJson

if TYPE_CHECKING:
    from rsitr.models.fusion.attention import WordMaps
    from rsitr.types import Encoder, ImageArray


def explain(
    model: Annotated[str, typer.Argument(help="Checkpoint of a fusion model, or a dual encoder's name.")],
    image: Annotated[Path, typer.Argument(help="The picture.")],
    words: Annotated[str, typer.Argument(help='What to look for in it, e.g. "six white storage tanks near a pond".')],
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("explain.png"),
    beside: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Another model in a row of its own. Repeatable.")
    ] = None,
    layer: Annotated[
        int | None, typer.Option(min=1, help="Cross-attention layer of a fusion model. [default: the last but one]")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... [default: a GPU if there is one]")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw where words are: where each looks in a fusion model, or which pieces of the picture fit in a dual encoder.

    A dual encoder's patches have all seen the whole picture, so pieces of it are encoded one by one.
    """
    from rsitr.cli.output import console, print_json
    from rsitr.cli.results_training import ExplainResult
    from rsitr.errors import ConfigError
    from rsitr.evaluation.heatmaps import draw_heatmaps
    from rsitr.files import require_writable, write_file
    from rsitr.geo import read_picture
    from rsitr.models import load_model
    from rsitr.models.fusion import is_fusion, load_fusion
    from rsitr.models.fusion.attention import attention_maps

    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: heat maps are written as PNG; name a file that ends in .png")
    require_writable(out)
    picture = read_picture(image, max_px=1024)
    maps: dict[str, WordMaps] = {}
    for name in (model, *(beside or ())):
        if is_fusion(name):
            maps[name] = attention_maps(load_fusion(name, device=device, half=False), picture, words, layer=layer)
        else:
            maps[name] = _map_pieces(load_model(name, device=device), picture, words)
    write_file(out, draw_heatmaps(picture, maps, text=words))
    if as_json:
        told = [
            {"name": name, "score": round(found.score, 6), "words": list(found.words), "kind": found.kind}
            for name, found in maps.items()
        ]
        print_json(ExplainResult(picture=str(out), models=told))
    screen = console(sys.stderr)
    for name, found in maps.items():
        screen.print(f"{name}: score {found.score:.3f}, {len(found.words)} words, {found.kind}")
    screen.print(f"written to {out}")


def _map_pieces(encoder: Encoder, picture: ImageArray, words: str) -> WordMaps:
    from rsitr.models.fusion.attention import WordMaps
    from rsitr.search import map_words

    found = map_words(encoder, picture, words)
    score = float(encoder.encode_images([picture]).global_emb[0] @ encoder.encode_texts([words]).global_emb[0])
    return WordMaps(words=(words,), maps=found[None], score=score, kind="cosine of the words and pieces")
