from __future__ import annotations

import pytest

from rsitr.sharing.paths import find_paths, hide_command, hide_paths


@pytest.mark.parametrize(
    "text",
    [
        "see https://example.org/a/b/c?d=/e and http://x.y/z",
        "RSICD / UCM, R@1 / 5 / 10, and/or, <b>bold</b>, docs/guides/training.md, ../other/folder",
        "ViT-B-32-quickgelu:openai of OWNER/NAME",
    ],
)
def test_what_is_no_path_of_a_machine_stays(text: str) -> None:
    assert find_paths(text) == []
    assert hide_paths(text) == text


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        ("/data/sets/ucm", "ucm"),
        ("ucm:/data/my sets/ucm", "ucm:ucm"),
        ("ViT-B-32:/data/w.pt", "ViT-B-32:w.pt"),
        ("~/weights/a.pt", "a.pt"),
        ("C:\\Users\\me\\a.pt", "a.pt"),
        ("see file:///data/me/a.txt, or '/data/me/b'", "see a.txt, or 'b'"),
        (("/data/me/x", 3, None), ["x", 3, None]),
    ],
)
def test_of_a_path_its_last_part_stays(value: object, hidden: object) -> None:
    assert hide_paths(value) == hidden
    assert "/data" not in str(hide_paths({"deep": [{"in": value}]}))


def test_a_command_is_hidden_word_by_word() -> None:
    command = (
        "rsitr train '/data/my configs/a.yaml' --data 'ucm:/data/my sets/ucm' --out=~/runs/a --set loss.scale=10.0"
    )
    assert hide_command(command) == "rsitr train a.yaml --data ucm:ucm --out=a --set loss.scale=10.0"
    assert hide_command("rsitr train '/data/sets/x") == "rsitr train 'x"  # a quote that is not closed
    assert hide_command(None) is None
