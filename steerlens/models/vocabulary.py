"""Reads the description of the tokens in a GGUF file, without making a tokenizer from the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steerlens.models.gguf_header import read_metadata
from steerlens.models.shape import check_shape

NORMAL = 1
"""The token type of an ordinary piece (``llama_token_type`` of llama.cpp); 3 is control, 4 user-defined, 6 a byte."""
_SAMPLE = 2000
"""The number of pieces with which a tokenizer is tested."""
_LONG = 4
"""The smallest number of characters of a tested piece. A wrong tokenizer is unlikely to find such a long piece by chance."""
_SPACE = "▁"
_SENTENCEPIECE = ("llama", "gemma4")
"""Kinds of vocabulary in which ``▁`` is a space. In the kind ``gpt2``, every byte is written as a letter."""
_PREFIX = "tokenizer.ggml."
_SPECIAL = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
}
"""The GGUF key that contains the id of each special token, by the name of the special token in Transformers."""
_BOS_FIRST = {
    *("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"),
    *("tekken", "chameleon"),
}
"""Byte-level vocabularies for which llama.cpp adds BOS if the file does not say whether to add BOS (``llama_vocab::impl::load``,
``add_bos``)."""


@dataclass(frozen=True)
class GgufVocabulary:
    """The tokens of a GGUF file, which llama.cpp stores under the keys ``tokenizer.ggml.*``."""

    kind: str
    """The kind of vocabulary, such as ``llama`` for SentencePiece or ``gpt2`` for byte-level pieces."""
    pre: str
    """The name of the pre-tokenizer; empty if the file does not name it."""
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    """The type of each token; empty if the file contains no types."""
    special: dict[str, str]
    """The special tokens that the file names: ``bos_token``, ``eos_token``, ``unk_token`` and ``pad_token``."""
    bos_id: int | None
    add_bos: bool
    """Whether the model was trained with BOS in front."""

    @property
    def has_long_pieces(self) -> bool:
        """Whether the file has ordinary pieces of more than one character. To build such pieces from single characters, a
        tokenizer needs merges or scores."""
        return any(len(self.text(piece) or "") > 1 for _, piece in self._ordinary())

    def text(self, piece: str) -> str | None:
        """Returns the text of a piece; ``None`` if the piece is only a part of a character."""
        if self.kind in _SENTENCEPIECE:
            return piece.replace(_SPACE, " ")
        try:
            return bytes(_BYTES[letter] for letter in piece).decode("utf-8")
        except (KeyError, UnicodeDecodeError):
            return None

    def sample(self) -> list[tuple[int, str]]:
        """Returns ids and texts of about 2,000 ordinary pieces of at least four characters, spread evenly over the vocabulary.

        From a SentencePiece vocabulary, only pieces that begin a word are taken. If a tokenizer puts a space before every text, a
        piece inside a word cannot occur alone.
        """
        found = []
        for number, piece in self._ordinary():
            text = self.text(piece)
            if text is None or len(text.strip()) < _LONG or (self.kind in _SENTENCEPIECE and piece[0] != _SPACE):
                continue
            found.append((number, text))
        step = max(1, -(-len(found) // _SAMPLE))
        return found[::step]

    def _ordinary(self) -> list[tuple[int, str]]:
        types = self.types or (NORMAL,) * len(self.tokens)
        return [(at, token) for at, (token, kind) in enumerate(zip(self.tokens, types, strict=True)) if token and kind == NORMAL]


def read_vocabulary(path: Path) -> GgufVocabulary:
    """Returns the vocabulary of a GGUF file.

    Raises:
        ValueError: the file is not GGUF, is cut short, has no tokens, or describes impossible tokens or an impossible model
            shape.
    """
    metadata = read_metadata(path)
    check_shape({key.rpartition(".")[2]: value for key, value in metadata.items()}, path.stat().st_size)
    said = {key.removeprefix(_PREFIX): value for key, value in metadata.items() if key.startswith(_PREFIX)}
    _check(said)
    kind, pre, tokens = said.get("model", ""), said.get("pre", ""), tuple(said["tokens"])
    special = {name: tokens[said[key]] for name, key in _SPECIAL.items() if said.get(key, len(tokens)) < len(tokens)}
    usual = kind == "llama" or pre in _BOS_FIRST
    return GgufVocabulary(
        kind=kind,
        pre=pre,
        tokens=tokens,
        types=tuple(said.get("token_type", ())),
        special=special,
        bos_id=said["bos_token_id"] if "bos_token" in special else None,
        add_bos="bos_token" in special and bool(said.get("add_bos_token", usual)),
    )


def _check(said: Mapping[str, Any]) -> None:
    """Refuses metadata in which tokens, token types or ids have a wrong type or a wrong number."""
    tokens, types = said.get("tokens"), said.get("token_type", [])
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
        raise ValueError(f"{_PREFIX}tokens is missing, or contains tokens that are not texts")
    whole = isinstance(types, list) and all(isinstance(kind, int) for kind in types)
    if not whole or len(types) not in (0, len(tokens)):
        raise ValueError(f"{_PREFIX}token_type does not contain a type for each of {len(tokens)} tokens")
    for key, kind in {"model": str, "pre": str, **dict.fromkeys(_SPECIAL.values(), int)}.items():
        if not isinstance(said.get(key, kind()), kind) or (kind is int and said.get(key, 0) < 0):
            raise ValueError(
                f"{_PREFIX}{key} contains {said[key]!r:.80}: expected {'a text' if kind is str else 'the id of a token'}"
            )


def _byte_letters() -> dict[str, int]:
    """Returns the byte for each letter that stands for a byte in GPT-2's vocabulary. A printable byte is written as its own
    character, and other bytes are written as characters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + at): byte for at, byte in enumerate(others)}


_BYTES = _byte_letters()
