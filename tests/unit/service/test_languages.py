"""The page's languages: each says everything, in words of its own, with the same values in it, and as it is written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).resolve().parents[3] / "web"
LANGUAGES = sorted(path.stem for path in (WEB / "src" / "languages").glob("*.ts"))
OTHERS = [name for name in LANGUAGES if name != "en"]

# Builds the texts of a language and says them: functions with the numbers 31, 32, ... for what they are told.
SAY = """
import { build } from "esbuild";
const [language, locale] = process.argv.slice(1);
const contents = `export * from "./languages/${language}"; export { setLocale } from "./numbers";`;
const stdin = { contents, resolveDir: "src", loader: "ts" };
const { outputFiles } = await build({ stdin, bundle: true, format: "esm", write: false });
const found = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString("base64")}`);
found.setLocale(locale);
const said = {};
const say = (value, key) => {
  if (typeof value === "string") said[key] = value;
  else if (typeof value === "function") {
    const told = (first) => Array.from({ length: value.length }, (_, i) => first + i);
    said[key] = key === ".asked.whole" ? value(["31", "32"]) : value(...told(31));
    said[`${key} of one`] = key === ".asked.whole" ? value(["1"]) : value(...told(1));
  } else for (const [name, inner] of Object.entries(value)) say(inner, `${key}.${name}`);
};
const { vocabulary, ...texts } = found.en ?? found.texts;
say(texts, "");
console.log(JSON.stringify({ said, vocabulary }));
"""
LOCALES = {"en": "en-GB", "de": "de-DE", "es": "es-ES", "fr": "fr-FR", "zh": "zh-CN"}
# Alike in both, as the trade has them; all other words of more than three letters are not English.
SHARED = {
    "de": {"Enter", "Sensor"},
    "es": {"Sensor", "Detector", "detector 1", "detector 31"},
    "fr": {"Licences"},
    "zh": set(),
}
ENGLISH = re.compile(r"\b(the|and|of|with|your|this|that|is|are|search|tiles?|places?|results?|scenes?|show)\b", re.I)
# What is English on purpose: words to search for, in a language that the model knows.
QUOTED = {".help.words", ".filters.withoutHint"}


def read(language: str) -> dict[str, Any]:
    """What a language says, and its vocabulary."""
    node = shutil.which("node")
    if node is None or not (WEB / "node_modules" / "esbuild").is_dir():
        pytest.fail("Node or esbuild is not there: run `npm install` in web/ (`make page` does)")
    done = subprocess.run(
        [node, "--input-type=module", "-e", SAY, language, LOCALES[language]],
        cwd=WEB, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def texts() -> dict[str, dict[str, Any]]:
    return {language: read(language) for language in LANGUAGES}


def numbers(text: str) -> list[str]:
    """The numbers in a text, however they are separated."""
    return sorted(re.findall(r"\d+", text))


def test_there_are_the_languages_that_the_page_offers() -> None:
    offered = re.findall(r"import\(\"\./languages/(\w+)\"\)", (WEB / "src" / "language.ts").read_text(encoding="utf-8"))
    assert sorted(["en", *offered]) == LANGUAGES == sorted(LOCALES)


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_says_everything_with_the_same_values(texts: dict[str, Any], language: str) -> None:
    english, other = texts["en"]["said"], texts[language]["said"]
    assert set(other) == set(english)
    assert [key for key, text in other.items() if not text.strip() and key != ".space"] == []
    lost = {
        key: (english[key], text) for key, text in other.items() if not set(numbers(english[key])) <= set(numbers(text))
    }
    assert lost == {}


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_words_of_its_own(texts: dict[str, Any], language: str) -> None:
    english, other = texts["en"]["said"], texts[language]["said"]
    alike = {text for key, text in other.items() if text == english[key] and re.search(r"[a-z]{4}", text)}
    assert alike <= SHARED[language]
    left = {key: text for key, text in other.items() if key not in QUOTED and ENGLISH.search(text)}
    assert {text for text in left.values() if text not in SHARED[language]} == set()


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_is_written_as_it_is(texts: dict[str, Any], language: str) -> None:
    for key, text in texts[language]["said"].items():
        assert '"' not in text, f"{key}: straight quotes"
        assert text == text.strip() or key in {".comma", ".space"} or key.startswith(".named"), key
        if language == "fr":
            assert not re.search(r"(?<![\u00a0\d])[:;?!»]", text), f"{key}: no narrow space before the sign"
        if language == "zh":
            assert not re.search(r"[\u4e00-\u9fff][,:;?!]", text), f"{key}: signs are as wide as characters"


@pytest.mark.parametrize("language", OTHERS)
def test_words_are_translated_into_plain_english(texts: dict[str, Any], language: str) -> None:
    vocabulary = texts[language]["vocabulary"]
    assert len(vocabulary) > 60
    assert [word for word in vocabulary if word != word.lower()] == [], "words are looked up in lower case"
    assert [english for english in vocabulary.values() if not re.fullmatch(r"[a-z ]+", english)] == []
