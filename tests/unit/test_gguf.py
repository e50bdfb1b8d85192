"""GGUF files: a right tokenizer passes, a broken one is refused with words, and what the file says stands in front."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import transformers
from transformers import AutoTokenizer

import steerlens as sl
from steerlens.errors import ModelError
from steerlens.models import gguf as converting
from steerlens.models.gguf_header import read_metadata
from steerlens.models.gguf_tokenizer import PROBES, probed, save, verify
from steerlens.models.vocabulary import read_vocabulary

WriteGguf = Callable[..., Path]
BOS = 1


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache."""
    monkeypatch.setenv("STEERLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_right_file_passes(kind: str, write_gguf: WriteGguf) -> None:
    path = write_gguf(kind)
    folder, vocabulary = converting.converted_file(path), read_vocabulary(path)
    assert len(vocabulary.sample()) > 50
    assert verify(folder, vocabulary, probed(AutoTokenizer.from_pretrained(folder)), "tiny") >= 0.99
    assert "Paris" in sl.load(path).tokenizer.decode(sl.load(path).tokens("Paris is a city").ids)


@pytest.mark.parametrize(
    ("kind", "pre", "says", "front"),
    [
        ("llama", "default", None, [BOS]),
        ("llama", "default", False, []),
        ("llama", "default", True, [BOS]),
        ("gpt2", "gpt-2", None, []),
        ("gpt2", "llama-bpe", None, [BOS]),
        ("gpt2", "gpt-2", True, [BOS]),
        ("gpt2", "qwen2", False, []),
    ],
)
def test_what_the_file_says_stands_in_front(
    kind: str, pre: str, says: bool | None, front: list[int], write_gguf: WriteGguf
) -> None:
    """And nothing stands behind, even where the file asks for it."""
    flags = {"add_eos_token": True} | ({} if says is None else {"add_bos_token": says})
    tokenizer = AutoTokenizer.from_pretrained(converting.converted_file(write_gguf(kind, pre, **flags)))
    for text in PROBES:
        assert tokenizer(text)["input_ids"] == front + tokenizer(text, add_special_tokens=False)["input_ids"]
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<s>", "</s>")


def _folder(write_gguf: WriteGguf, pre: str) -> Any:
    return AutoTokenizer.from_pretrained(converting.converted_file(write_gguf("gpt2", pre)))


def test_the_originals_normaliser(write_gguf: WriteGguf) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    qwen, plain = _folder(write_gguf, "qwen2"), _folder(write_gguf, "gpt-2")
    assert qwen.tokenize(apart) == qwen.tokenize(composed)
    assert plain.tokenize(apart) != plain.tokenize(composed)


def test_the_originals_digits(write_gguf: WriteGguf) -> None:
    """Digits are parted before spaces are, which shows where two spaces stand before one."""
    assert _folder(write_gguf, "smollm").tokenize("  1") == ["ĠĠ", "1"]
    assert _folder(write_gguf, "gpt-2").tokenize("  1") == ["Ġ", "Ġ", "1"]


def _no_merges(file: dict[str, Any]) -> None:
    file["model"]["merges"] = []


def _characters(file: dict[str, Any]) -> None:
    del file["model"]["merges"][1:]


def _unigram(file: dict[str, Any]) -> None:
    tokens = sorted(file["model"]["vocab"], key=file["model"]["vocab"].__getitem__)
    file["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [[t, -float(len(t) ** 2)] for t in tokens], "byte_fallback": True}


def _other_text(file: dict[str, Any]) -> None:
    file["normalizer"] = {"type": "Replace", "pattern": {"String": "1"}, "content": "x"}


def _no_bos(file: dict[str, Any]) -> None:
    file["post_processor"] = None


@pytest.mark.parametrize(
    ("kind", "damage", "said"),
    [
        ("llama", _no_merges, "has no merges"),
        ("gpt2", _no_merges, "has no merges"),
        ("llama", _characters, r"finds only 0\.0. of the pieces in the vocabulary"),
        ("gpt2", _characters, r"finds only 0\.0. of the pieces in the vocabulary"),
        ("llama", _unigram, "of the pieces in the vocabulary"),
        ("gpt2", _other_text, "other tokens after it was saved"),
        ("llama", _no_bos, "other tokens after it was saved"),
    ],
)
def test_a_broken_tokenizer_is_refused(
    kind: str,
    damage: Callable[[dict[str, Any]], None],
    said: str,
    write_gguf: WriteGguf,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def saved(tokenizer: Any, folder: Path) -> None:
        save(tokenizer, folder)
        file = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        damage(file)
        (folder / "tokenizer.json").write_text(json.dumps(file), encoding="utf-8")

    monkeypatch.setattr(converting, "save", saved)
    with pytest.raises(ModelError, match=said) as refused:
        sl.load(write_gguf(kind))
    assert f"Transformers {transformers.__version__}" in str(refused.value)
    assert "pip install 'transformers==" in str(refused.value)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_a_tokenizer_that_puts_something_else_in_front_is_refused(
    write_gguf: WriteGguf, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "prepare", lambda tokenizer, _: setattr(tokenizer, "add_bos_token", True))
    with pytest.raises(ModelError, match=r"puts the tokens \[1\] before a text and \[\] after it, but the file says \[\]"):
        sl.load(write_gguf("gpt2", "gpt-2", add_bos_token=False))


def test_a_folder_of_another_converter_is_not_trusted(write_gguf: WriteGguf, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf("gpt2")
    first = converting.converted_file(path)
    assert converting.converted_file(path) == first
    assert f"transformers-{transformers.__version__}" in first.name
    monkeypatch.setattr(converting, "version", lambda _: "99.0")
    made: list[str] = []
    monkeypatch.setattr(converting, "convert", lambda *given: made.append(given[2]))
    assert converting.converted_file(path) != first
    assert made == ["tiny.gguf"]


def test_metadata_is_what_the_package_gguf_reads(write_gguf: WriteGguf, tmp_path: Path) -> None:
    path = write_gguf("llama", add_bos_token=True)
    read = read_metadata(path)
    fields = {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items() if not key.startswith("GGUF.")}
    assert read == fields
    for end in (10, 500, 5000):
        (tmp_path / "cut.gguf").write_bytes(path.read_bytes()[:end])
        with pytest.raises(ModelError, match="may be truncated"):
            sl.load(tmp_path / "cut.gguf")
