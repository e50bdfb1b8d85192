"""Adapts the tokenizer of a converted GGUF file to the contents of the file, and tests the tokenizer before it is used.

The tokenizer that is made from a GGUF file depends on the version of Transformers. Gemma's vocabulary has scores and no merges.
For this vocabulary, Transformers up to 5.17 makes another kind of tokenizer. After saving and reading, that tokenizer cuts every
text into single characters. Transformers raises no error, and every score falls to chance. Therefore steerlens saves the
tokenizer, reads the saved tokenizer again, and tests it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steerlens.errors import ModelError
from steerlens.models.vocabulary import GgufVocabulary
from steerlens.storage import write_text

TESTED = "5.23.0"
"""The version of Transformers with which conversions were tested."""
_RIGHT = 0.9
"""The smallest share of the file's pieces that a correct tokenizer must find. Correct tokenizers found shares of 0.98 to 1.00,
and broken tokenizers found 0.02 and 0.00."""
_NFC = {"qwen2", "qwen35", "command-r", "olmo", "mpt"}
"""Pre-tokenizers (``tokenizer.ggml.pre``) of models whose own tokenizer first composes characters (Unicode's NFC).

A GGUF file does not say whether characters are composed first. The code of Transformers shows which tokenizer classes compose
characters: ``Qwen2Tokenizer``, ``Qwen3_5Tokenizer``, ``CohereTokenizer`` and ``GPTNeoXTokenizer``. OLMo and MPT use the tokenizer
class ``GPTNeoXTokenizer``.
"""
_DIGITS = {"smollm", "command-r", "refact", "starcoder"}
"""Pre-tokenizers that first split all numbers into single digits. In llama.cpp, their first pattern is ``\\p{N}``."""
PROBES = (
    "The capital of France is Paris.",
    " two  spaces, a tab\tand\n\nnew lines ",
    "¿Qué se desayuna en España? Un café con leche, por favor.",
    "한국의 수도는 서울입니다. 아침에 무엇을 먹나요?",
    "日本の首都は東京です。朝ごはんは？",
    "中国的首都是北京。",
    "Столица России — Москва.",
    "ما هي عاصمة مصر؟ القاهرة",
    "भारत की राजधानी नई दिल्ली है।",
    "เมืองหลวงของไทยคือกรุงเทพฯ",
    "1234567890 3.14 1,000,000 2024-12-31",
    "👩‍👩‍👧 🇪🇸 🙂 ½ € ﬁ",
    "Cafe\u0301 in decomposed letters: a\u0308 n\u0303",
    "def f(x):\n    return {'a': [x, x ** 2]}  # code",
)


def prepare(tokenizer: Any, vocabulary: GgufVocabulary) -> None:
    """Gives a tokenizer the properties that the original tokenizer has and that Transformers leaves out.

    The properties are the special tokens that the file names, the normaliser, and the splitting of digits. BOS is put in front of
    a text if the file says so, and nothing is put after the text.

    Args:
        tokenizer: a Hugging Face tokenizer, which is changed in place.
        vocabulary: the contents of the GGUF file.
    """
    from tokenizers import normalizers, pre_tokenizers

    for name, token in vocabulary.special.items():
        setattr(tokenizer, name, token)
    backend = tokenizer.backend_tokenizer
    if vocabulary.kind == "gpt2" and vocabulary.pre in _NFC:
        backend.normalizer = normalizers.NFC()
    if vocabulary.kind == "gpt2" and vocabulary.pre in _DIGITS:
        digits, pieces = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([digits, pieces])
    if _around(tokenizer) != (_front(vocabulary), []):
        backend.post_processor = _template(vocabulary)


def _template(vocabulary: GgufVocabulary) -> Any:
    from tokenizers.processors import TemplateProcessing

    if not vocabulary.add_bos:
        return TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    bos = vocabulary.special["bos_token"]
    return TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, vocabulary.bos_id)])


def probed(tokenizer: Any) -> list[list[int]]:
    """Returns the token ids of the test texts, each with and without special tokens."""
    return [list(tokenizer(text, add_special_tokens=special)["input_ids"]) for text in PROBES for special in (True, False)]


def save(tokenizer: Any, folder: Path) -> None:
    """Writes a tokenizer in a form that stays unchanged when it is read again."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    write_text(path, json.dumps(config | {"tokenizer_class": "PreTrainedTokenizerFast"}, ensure_ascii=False, indent=2))


def verify(folder: Path, vocabulary: GgufVocabulary, before: Sequence[Sequence[int]], called: str) -> float:
    """Reads the tokenizer of a folder again, and tests it.

    Args:
        folder: a converted model.
        vocabulary: the contents of the GGUF file.
        before: the ids of the test texts before the tokenizer was saved, as returned by ``probed``.
        called: the name of the model in errors.

    Returns:
        The share of the file's ordinary pieces that the tokenizer encodes to the id in the file.

    Raises:
        ModelError: the tokenizer has no merges, does not find the file's pieces, or changed when it was saved. This error is also
            raised if the tokenizer and the file differ in their special tokens, or in the tokens that are put around a text.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    saved = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    share = _share(tokenizer, vocabulary)
    if saved.get("type") == "BPE" and not saved.get("merges") and vocabulary.has_long_pieces:
        raise _refused(called, "has no merges, so it cuts a text into single characters")
    if share < _RIGHT:
        raise _refused(
            called,
            f"finds only {share:.2f} of the pieces in the vocabulary of the file; a correct tokenizer finds {_RIGHT} or more",
        )
    if probed(tokenizer) != [list(ids) for ids in before]:
        raise _refused(called, "gives other tokens after it was saved and read again")
    special = {name: getattr(tokenizer, name) for name in vocabulary.special}
    if special != vocabulary.special:
        raise _refused(called, f"has the special tokens {special}, but the file says {vocabulary.special}")
    front, behind = _around(tokenizer)
    if (front, behind) != (_front(vocabulary), []):
        raise _refused(
            called,
            f"puts the tokens {front} before a text and {behind} after it, but the file says {_front(vocabulary)} before and "
            "nothing after",
        )
    return share


def _share(tokenizer: Any, vocabulary: GgufVocabulary) -> float:
    """Returns the share of the sampled pieces that the tokenizer encodes to their own id. A piece may be encoded with or without
    the space that the tokenizer puts before it."""
    sample = vocabulary.sample()
    whole, bare = (
        tokenizer([text[cut:] for _, text in sample], add_special_tokens=False)["input_ids"] if sample else [] for cut in (0, 1)
    )
    spaced = vocabulary.kind != "gpt2"
    right = [
        [number] == list(one) or (spaced and [number] == list(other))
        for (number, _), one, other in zip(sample, whole, bare, strict=True)
    ]
    return sum(right) / len(right) if right else 1.0


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Returns the tokens that a tokenizer puts before and after a text."""
    text = PROBES[0]
    full, bare = (list(tokenizer(text, add_special_tokens=special)["input_ids"]) for special in (True, False))
    at = next((i for i in range(len(full) - len(bare) + 1) if full[i : i + len(bare)] == bare), len(full))
    return full[:at], full[at + len(bare) :]


def _front(vocabulary: GgufVocabulary) -> list[int]:
    return [vocabulary.bos_id] if vocabulary.add_bos and vocabulary.bos_id is not None else []


def _refused(called: str, what: str) -> ModelError:
    import transformers

    return ModelError(
        f"the tokenizer that Transformers {transformers.__version__} makes from {called} is broken: the tokenizer {what}. "
        "Nothing was saved. Expected the tokenizer that the GGUF file describes. Install a tested version with: pip install "
        f"'transformers=={TESTED}', or give the model as a folder in Hugging Face's layout."
    )
