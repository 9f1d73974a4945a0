"""Embeddings in Parquet: the same bits on return, the same numbers, and clear words about files that don't fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fakes import ColourEncoder
from generators import write_karpathy_dataset
from rsitr.data import load_dataset
from rsitr.errors import ConfigError, DataError
from rsitr.evaluation import (
    Embeddings,
    encode_embeddings,
    evaluate,
    evaluate_embeddings,
    read_embeddings,
    write_embeddings,
)
from rsitr.models.compact import TRUNKS
from rsitr.types import Mixture
from tiny import TinyTrunk, tiny_encoder, tiny_model


class MixedEncoder(ColourEncoder):
    """Colours with a mixture, and tokens that don't all count."""

    mixture = Mixture(alpha=0.7, beta=0.3, norm="rms")

    def encode_texts(self, texts: Any, *, batch_size: int = 256) -> Any:
        encoded = super().encode_texts(texts)
        encoded.token_mask[::2, 1] = False
        return encoded


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("rsicd")
    write_karpathy_dataset(folder, n_images=24)
    return f"rsicd:{folder}"


@pytest.fixture(scope="module")
def embeddings(data: str) -> Embeddings:
    return encode_embeddings(MixedEncoder(), data=data, split="train")


@pytest.fixture
def file(tmp_path: Path, embeddings: Embeddings) -> Path:
    path = tmp_path / "train.parquet"
    write_embeddings(path, embeddings, provenance={"command": "a test"})
    return path


def change(path: Path, column: str, value: Any, *, row: int) -> None:
    """Replace one value of a file, its metadata kept."""
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value
    kind = table.schema.field(column).type
    if pa.types.is_fixed_size_list(kind):
        kind = pa.list_(kind.value_type)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values, kind)), path)


def test_everything_comes_back_as_it_was(file: Path, embeddings: Embeddings) -> None:
    again = read_embeddings(file)
    for part in ("images", "texts"):
        one, other = getattr(embeddings.split, part), getattr(again.split, part)
        for field in dataclasses.fields(one):
            before, after = getattr(one, field.name), getattr(other, field.name)
            assert before.dtype == after.dtype
            assert before.tobytes() == after.tobytes()
            assert before.shape == after.shape
    for name in ("caption_text", "text_image"):
        np.testing.assert_array_equal(getattr(again.split, name), getattr(embeddings.split, name))
    assert again.split.mR_ceiling == embeddings.split.mR_ceiling
    assert again.split.encode_s == embeddings.split.encode_s
    assert (again.image_ids, again.captions, again.texts) == (
        embeddings.image_ids,
        embeddings.captions,
        embeddings.texts,
    )
    assert again.source == embeddings.source
    assert not embeddings.split.texts.token_mask.all()
    assert [path.name for path in file.parent.iterdir()] == ["train.parquet"]


def test_many_rows_keep_their_order_over_row_groups(
    file: Path, embeddings: Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsitr.evaluation.parquet.ROWS_PER_GROUP", 5)
    write_embeddings(file, embeddings)
    assert pq.ParquetFile(file).num_row_groups > 4
    again = read_embeddings(file)
    assert again.image_ids == embeddings.image_ids
    np.testing.assert_array_equal(again.split.texts.tokens, embeddings.split.texts.tokens)


@pytest.mark.parametrize("rerank", [None, "sar:k=5"])
def test_the_file_is_measured_as_the_model_is(data: str, file: Path, rerank: str | None) -> None:
    direct = evaluate(MixedEncoder(), data=data, split="train", rerank=rerank, device="cpu", bootstrap=20)
    stored = evaluate_embeddings(read_embeddings(file), rerank=rerank, device="cpu", bootstrap=20)
    for found, expected in ((stored.as_dict(), direct.as_dict()),):
        for key in ("model", "data", "split", "n_images", "n_texts", "image_to_text", "text_to_image", "mR", "mR_best"):
            assert found[key] == expected[key]
        assert found["data_sha256"] == load_dataset(data).sha256
        assert found["settings"]["mixture"] == expected["settings"]["mixture"]
        assert found["intervals"] == expected["intervals"]
    assert stored.per_query_csv() == direct.per_query_csv()


def test_the_models_own_re_ranking_comes_along(tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    encoder = tiny_encoder(tiny_model(), rerank="sar:k=5")
    write_embeddings(tmp_path / "own.parquet", encode_embeddings(encoder, data=data, split="train"))
    again = read_embeddings(tmp_path / "own.parquet")
    for rerank, used in ((None, "sar:k=5"), ("none", None), ("csls", "csls:k=10")):
        direct = evaluate(encoder, data=data, split="train", rerank=rerank, device="cpu")
        stored = evaluate_embeddings(again, rerank=rerank, device="cpu")
        assert stored.settings["rerank"] == direct.settings["rerank"] == used
        assert stored.per_query_csv() == direct.per_query_csv()


def test_without_tokens_the_file_is_small_and_measured_by_its_global_features(
    tmp_path: Path, file: Path, embeddings: Embeddings
) -> None:
    small = tmp_path / "small.parquet"
    write_embeddings(small, embeddings, tokens=False)
    assert small.stat().st_size < file.stat().st_size
    again = read_embeddings(small)
    np.testing.assert_array_equal(again.split.images.global_emb, embeddings.split.images.global_emb)
    with pytest.raises(ConfigError, match="hold no local features"):
        evaluate_embeddings(again)
    only = Mixture(alpha=1.0, beta=0.0)
    expected = evaluate_embeddings(embeddings, mixture=only)
    assert evaluate_embeddings(again, mixture=only).mR == expected.mR


def test_a_file_of_another_program_needs_five_columns(tmp_path: Path) -> None:
    path = tmp_path / "theirs.parquet"
    columns = {
        "kind": ["text", "image", "text", "image"],
        "image_id": [None, "a", None, "b"],
        "captions": [None, ["a pond", "water"], None, ["a pond"]],
        "caption": ["water", None, "a pond", None],
        "embedding": [[2.0, 0.0], [1.0, 0.1], [0.0, 3.0], [0.0, 1.0]],
    }
    pq.write_table(pa.table(columns), path)
    report = evaluate_embeddings(read_embeddings(path))
    assert report.model == "theirs"
    # Image a's best is `water`; b's is `a pond`, which stands there twice and is its own once.
    assert report.result.metrics.image_to_text["R@1"] == 75.0
    assert report.captions == ("a pond", "water", "a pond")
    # `a pond` finds image b, which is right for one of the two rows that it stands for; `water` finds a.
    assert report.result.metrics.text_to_image["R@1"] == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize(
    ("column", "value", "row", "message"),
    [
        ("kind", "picture", 0, "kind is `image` or `text`, not picture"),
        ("image_id", None, 0, "has no image_id"),
        ("image_id", "rsicd/00002.jpg", 0, "is there twice"),
        ("captions", [], 0, "has no captions"),
        ("captions", ["never seen"], 0, "captions have no row of kind text"),
        ("embedding", [1.0], 0, "embedding of image rows must be lists of one length"),
        ("tokens", [1.0], 0, "tokens of image rows must be lists of one length"),
        ("tokens", None, 0, "tokens of image rows must be lists of one length"),
        ("token_mask", [True], -1, "token_mask of text rows must be lists of one length"),
        ("caption", "no image has it", -1, "captions have no row of kind text"),
    ],
)
def test_rows_that_do_not_fit_together_are_named(file: Path, column: str, value: Any, row: int, message: str) -> None:
    change(file, column, value, row=row)
    with pytest.raises(DataError, match=message):
        read_embeddings(file)


def test_texts_that_no_image_has_are_refused(file: Path) -> None:
    table = pq.read_table(file)
    spare = table.slice(len(table) - 1)
    spare = spare.set_column(table.column_names.index("caption"), "caption", pa.array(["nobody's"]))
    pq.write_table(pa.concat_tables([table, spare]), file)
    with pytest.raises(DataError, match="are no image's caption"):
        read_embeddings(file)


def test_files_that_are_no_embeddings_are_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_embeddings(tmp_path / "none.parquet")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_embeddings(broken)
    pq.write_table(pa.table({"kind": ["image"]}), broken)
    with pytest.raises(DataError, match="lacks the columns image_id"):
        read_embeddings(broken)
    table = pq.read_table(file)
    pq.write_table(table.slice(0, 3), broken)
    with pytest.raises(DataError, match="no rows of kind text"):
        read_embeddings(broken)
    for about, message in ((b"{", "metadata cannot be read"), (b'{"format": 9}', "has format 9")):
        pq.write_table(table.replace_schema_metadata({b"rsitr": about}), broken)
        with pytest.raises(DataError, match=message):
            read_embeddings(broken)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, embeddings: Embeddings) -> None:
    with pytest.raises(ConfigError, match="cannot write"):
        write_embeddings(tmp_path / "no" / "folder.parquet", embeddings)
    taken = tmp_path / "taken.parquet"
    taken.mkdir()
    with pytest.raises(ConfigError, match="cannot write"):
        write_embeddings(taken, embeddings)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.parquet"]
