"""Writes tiny models with a tokenizer in Hugging Face's layout."""

from importlib import resources
from pathlib import Path
from typing import Any

import torch

from steerlens.testing.family import VOCABULARY, Family, Front

_EOS, _BOS, _PAD = "<eos>", "<bos>", "<pad>"
_SPECIAL: dict[Front, dict[str, str]] = {
    "bos": {"bos_token": _BOS, "eos_token": _EOS, "pad_token": _PAD},
    "bos, no pad": {"bos_token": _BOS, "eos_token": _EOS},
    "eos": {"bos_token": _EOS, "eos_token": _EOS, "pad_token": _PAD},
    "unused": {"bos_token": _EOS, "eos_token": _EOS},
    "unused, own pad": {"bos_token": _BOS, "eos_token": _EOS, "pad_token": _PAD},
    "none": {"eos_token": _EOS, "pad_token": _PAD},
}
_PUT_IN_FRONT: dict[Front, str] = {"bos": _BOS, "bos, no pad": _BOS, "eos": _EOS}
_BPE = "tokenizer.json"
"""The file with the byte-level BPE of all tiny models. The BPE was trained once on questions and answers in seven languages."""
_SPREAD = 0.2
"""The standard deviation of every parameter. The value is large enough for a random model to have clear preferences."""


def write_model(family: Family, folder: Path) -> None:
    """Writes config, weights and tokenizer of a tiny model into a folder. The files are the same in every run."""
    import transformers

    tokenizer = _tokenizer(family.front)
    torch.manual_seed(0)
    model = getattr(transformers, family.model)(_config(family, tokenizer)).float().eval()
    randomize(model)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def randomize(model: Any) -> None:
    """Gives new values to every parameter, including norms and biases, and to every saved bias correction of a router.

    Parameters with one dimension keep their initial value and get noise, so that a norm's weights stay near 1. The decay rates of
    state-space layers also keep their initial value and get noise. All other parameters are drawn again.
    """
    generator = torch.Generator().manual_seed(1)
    corrections = [(name, buffer) for name, buffer in model.named_buffers() if name.endswith("correction_bias")]
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *corrections]:
            noise = _SPREAD * torch.randn(tensor.shape, generator=generator)
            kept = tensor if tensor.ndim <= 1 or name.endswith("A_log") else torch.zeros_like(tensor)
            tensor.copy_(kept + noise)


def _config(family: Family, tokenizer: Any) -> Any:
    import transformers

    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    own = {"vocab_size": VOCABULARY, **ids, **family.settings}
    make = getattr(transformers, family.config)
    return make(**own) if family.outer is None else make(text_config=own, **ids, **family.outer)


def tiny_bpe() -> Any:
    """Returns the byte-level BPE of all tiny models, without special tokens in front, as a new ``Tokenizer``."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(resources.files(__package__).joinpath(_BPE).read_text(encoding="utf-8"))


def _tokenizer(front: Front) -> Any:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = tiny_bpe()
    if token := _PUT_IN_FRONT.get(front):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, tokenizer.token_to_id(token))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **_SPECIAL[front])
