"""Tiny GGUF files with random weights, and a machine on which nothing may be installed or fetched."""

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

_CONTROL, _BYTE = 3, 6
_D, _FF = 32, 64
WriteGguf = Callable[..., Path]


@pytest.fixture(scope="session")
def write_gguf(tmp_path_factory: pytest.TempPathFactory, corpus: list[str]) -> WriteGguf:
    """Writes a tiny Llama: ``kind`` ``llama`` is SentencePiece with scores and no merges, ``gpt2`` is byte-level with merges."""

    made: dict[str, tuple[list[str], list[int], list[float], list[str]]] = {}

    def write(kind: str, pre: str = "default", **flags: bool) -> Path:
        path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        if kind not in made:
            made[kind] = (_sentencepiece if kind == "llama" else _byte_level)(corpus)
        tokens, types, scores, merges = made[kind]
        writer.add_tokenizer_model(kind)
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        if scores:
            writer.add_token_scores(scores)
        if merges:
            writer.add_token_merges(merges)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        for name, flag in flags.items():
            writer.add_bool(f"tokenizer.ggml.{name}", flag)
        _add_model(writer, len(tokens))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


@pytest.fixture
def untouched_machine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was tried that a load must not do: starting an installer, or opening a connection. Both fail."""
    tried: list[str] = []
    start = subprocess.Popen.__init__

    def refuse_installers(process: Any, args: Any, *rest: Any, **named: Any) -> None:
        if "install" in str(args):
            tried.append(str(args))
            raise OSError("no installer on this machine")
        start(process, args, *rest, **named)

    def refuse(_: Any, address: Any) -> None:
        tried.append(str(address))
        raise OSError("no network on this machine")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse_installers)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def _sentencepiece(corpus: list[str]) -> tuple[list[str], list[int], list[float], list[str]]:
    words = sorted({f"▁{word}" for text in corpus for word in text.split()})[::40]
    letters = {letter for text in corpus for letter in text} | {"▁"}
    begun = {word[:end] for word in words for end in range(2, len(word) + 1)}
    pieces = sorted((letters | begun) - {" "}, key=lambda piece: (len(piece), piece))
    special, byte = ["<unk>", "<s>", "</s>"], [f"<0x{n:02X}>" for n in range(256)]
    types = [2, _CONTROL, _CONTROL, *[_BYTE] * 256, *[1] * len(pieces)]
    return [*special, *byte, *pieces], types, [0.0] * 259 + [-float(n) for n in range(len(pieces))], []


def _byte_level(corpus: list[str]) -> tuple[list[str], list[int], list[float], list[str]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=2000, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*corpus, *["  1  2"] * 500], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    types = [_CONTROL] * 3 + [1] * (len(tokens) - 3)
    return tokens, types, [], [" ".join(merge) for merge in model["merges"]]


def _add_model(writer: Any, vocabulary: int) -> None:
    random = np.random.default_rng(0)
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(_D)
    writer.add_feed_forward_length(_FF)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(_D // 2)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(vocabulary)
    shapes = {"token_embd": (vocabulary, _D), "output": (vocabulary, _D), "output_norm": (_D,), "blk.0.attn_norm": (_D,)}
    shapes |= {f"blk.0.attn_{part}": (_D, _D) for part in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_norm": (_D,), "blk.0.ffn_gate": (_FF, _D), "blk.0.ffn_up": (_FF, _D), "blk.0.ffn_down": (_D, _FF)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.2, shape).astype(np.float32))
