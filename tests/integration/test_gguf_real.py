"""The embedded model's GGUF file: its tokenizer finds the file's pieces, and puts BOS in front."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from steerlens.models.embedded import EMBEDDED
from steerlens.models.gguf import converted_embedded
from steerlens.models.gguf_tokenizer import PROBES, probed, verify
from steerlens.models.vocabulary import read_vocabulary

pytestmark = pytest.mark.real


def test_the_embedded_tokenizer_is_right(tmp_path: Path) -> None:
    model = EMBEDDED["gemma-3-270m"]
    model.join(tmp_path / "model.gguf")
    vocabulary, folder = read_vocabulary(tmp_path / "model.gguf"), converted_embedded(model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (vocabulary.kind, vocabulary.add_bos, vocabulary.bos_id, len(vocabulary.tokens)) == ("llama", True, 2, 262144)
    assert 1900 <= len(vocabulary.sample()) <= 2000
    assert verify(folder, vocabulary, probed(tokenizer), model.name) >= 0.99
    for text in PROBES:
        assert tokenizer(text)["input_ids"] == [2, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
