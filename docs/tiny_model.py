"""The model of the examples: 18 random layers, as many as Gemma 3 270M has, and a tokenizer.

Needs no network and two seconds.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import steerlens as sl

_FOLDER = TemporaryDirectory()
"""The model's files, which training reads again; removed when Python ends."""
_VOCABULARY = 600
_CHAT = "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant]"


def tiny_model(n_layers: int = 18, d_model: int = 32) -> sl.LensModel:
    """A Llama of random weights, large enough ones for it to have opinions."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    config = LlamaConfig(
        vocab_size=_VOCABULARY,
        hidden_size=d_model,
        intermediate_size=2 * d_model,
        num_hidden_layers=n_layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(_FOLDER.name)
    tokenizer.save_pretrained(_FOLDER.name)
    model = sl.load(Path(_FOLDER.name))
    return sl.LensModel(model.tl, "tiny", made_from=model.spec)


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<eos>", "<bos>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    items = sl.data.atlas(["es-ES", "ko-KR"])
    tokenizer.train_from_iterator((item.question for item in items), trainer)
    bos = [("<bos>", tokenizer.token_to_id("<bos>"))]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=bos
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        chat_template=_CHAT,
    )
