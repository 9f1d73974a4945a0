"""`rsitr figures`: what a model finds and how it tells pairs apart, as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsitr.cli.output import AsJson


def figures(
    model: Annotated[str, typer.Argument(help="One of `rsitr models`, a checkpoint folder, or open_clip's NAME:TAG.")],
    data: Annotated[str, typer.Option(help="NAME:FOLDER (rsicd, ucm, sydney, rsitmd, nwpu) or csv:FILE.")],
    into: Annotated[Path, typer.Option(help="Folder for the figures.")],
    split: Annotated[str, typer.Option(help="Split to show; test only when named.")] = "val",
    queries: Annotated[int, typer.Option(min=1, metavar="N", help="Pictures drawn by lot, and a caption of each.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the lot.")] = 0,
    drop_ratio: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="Share of the pairs below the EBA threshold that is drawn.")
    ] = 0.01,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... [default: a GPU if there is one]")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw top-5 retrieval sheets in both directions, histograms of similarities, and word maps of three pictures.

    Scores are the model's own mixture, without re-ranking.
    """
    import numpy as np
    import torch

    from rsitr.cli.output import print_json, progress_bar, require_folder, screen
    from rsitr.cli.provenance import provenance
    from rsitr.cli.results_training import FiguresResult
    from rsitr.data import load_dataset
    from rsitr.evaluation.heatmaps import draw_heatmaps
    from rsitr.evaluation.histograms import PairSimilarities, split_pairs, write_histograms
    from rsitr.evaluation.protocol import encode_split, score_split
    from rsitr.evaluation.sheets import make_sheets, render_sheets, write_image_sheet, write_text_sheet
    from rsitr.files import write_file
    from rsitr.geo import read_picture
    from rsitr.models import load_model
    from rsitr.models.fusion.attention import similarity_maps
    from rsitr.training.bank import SimilarityBank
    from rsitr.types import Mixture

    require_folder(into, option="--into")
    dataset = load_dataset(data)
    images = dataset.split(split)
    encoder = load_model(model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("Encoding pictures", total=len(images))
        encoded = encode_split(encoder, images, progress=lambda done: bar.update(task, completed=done))
    into.mkdir(parents=True, exist_ok=True)
    where = f"{encoder.name} on {dataset.name} {split}"

    scores = score_split(encoded, mixture=encoder.mixture, device=encoder.device).cpu().numpy()
    sheets = make_sheets(encoded, images, scores=scores, n_queries=queries, seed=seed)
    facts = {"data": f"{data}, annotations {dataset.sha256}", "weights": encoder.fingerprint, **provenance()}
    write_file(into / "retrieval.html", render_sheets(sheets, title=f"Retrieval: {where}", facts=facts))
    write_image_sheet(sheets.text_to_image, into / "text-to-image.png", title=f"Text to image: {where}")
    write_text_sheet(sheets.image_to_text, into / "image-to-text.png", title=f"Image to text: {where}")

    panels = []
    norm = encoder.mixture.norm
    for name, mixture in (
        ("global similarity (cosine)", Mixture(alpha=1.0, beta=0.0)),
        (f"local similarity ({norm})", Mixture(alpha=0.0, beta=1.0, norm=norm)),
    ):
        similarities = score_split(encoded, mixture=mixture, device=encoder.device).cpu().numpy()
        matching, others = split_pairs(encoded, scores=similarities)
        bank = SimilarityBank(len(matching))
        bank.record(torch.arange(len(matching)), torch.from_numpy(np.ascontiguousarray(matching)))
        panels.append(PairSimilarities(name, matching, others, bank.threshold(drop_ratio=drop_ratio)))
    write_histograms(panels, into / "similarities.png", title=where, drop_ratio=drop_ratio)

    files = ["retrieval.html", "text-to-image.png", "image-to-text.png", "similarities.png"]
    for number, query in enumerate(sheets.text_to_image[:3], start=1):
        picture, caption = read_picture(query.image.path, max_px=1024), query.caption or ""
        maps = {encoder.name: similarity_maps(encoder, picture, caption)}
        files.append(f"words-{number}.png")
        write_file(into / files[-1], draw_heatmaps(picture, maps, text=caption))
    if as_json:
        print_json(FiguresResult(folder=str(into), files=files))
    screen(as_json).print(
        f"retrieval.html, text-to-image.png, image-to-text.png, similarities.png and words-*.png in {into}"
    )
