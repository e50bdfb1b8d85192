"""Tiny random models of four architectures, with the tokenizer of steerlens.testing, all in Hugging Face's layout."""

from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch
from places import DEVICE, HERE, TEXTS, some_items
from tokenizers import processors
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

import steerlens as sl
from steerlens.models import budget
from steerlens.testing.folders import tiny_bpe

torch.set_num_threads(1)  # tiny models: threads would wait for each other longer than they work

ARCHITECTURES = ("gemma3", "llama", "qwen2", "gpt2")
SCORED = (*ARCHITECTURES, "gemma2")
"""Gemma 2 caps both its attention scores and its logits."""
_VOCABULARY = 600
_SHAPE = {"vocab_size": _VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}
_INIT = {"initializer_range": 0.2}  # large enough for a random model to have opinions


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs a GPU where the tests' models are not on one."""
    for item in items:
        if "cuda" in item.keywords and not DEVICE.startswith("cuda"):
            item.add_marker(pytest.mark.skip("STEERLENS_TEST_DEVICE is not cuda"))


def pytest_fixture_setup() -> None:
    """Every fixture draws the same random numbers in every run, so models that Transformers initialises are always the same."""
    torch.manual_seed(0)


def pytest_runtest_call() -> None:
    """So does every test."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _own_measures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests measure of a GPU's memory is kept apart from what the user's programs did."""
    folder = tmp_path_factory.mktemp("measures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "cache_folder", lambda: folder)
        yield


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    """Texts in seven languages."""
    return (TEXTS / "corpus.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder per architecture, as ``save_pretrained`` writes it."""
    folders = {}
    for name in SCORED:
        torch.manual_seed(0)
        tokenizer = _tokenizer(name)
        folder = tmp_path_factory.mktemp(name)
        _model(name, tokenizer).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        folders[name] = folder
    return folders


@pytest.fixture(scope="session")
def loaded(model_folders: dict[str, Path]) -> dict[str, sl.LensModel]:
    """Every tiny model, loaded once."""
    return {name: sl.load(folder, **HERE) for name, folder in model_folders.items()}


@pytest.fixture(params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, loaded: dict[str, sl.LensModel]) -> sl.LensModel:
    """Each tiny model in turn."""
    return loaded[request.param]


@pytest.fixture(params=SCORED)
def scored(request: pytest.FixtureRequest, loaded: dict[str, sl.LensModel]) -> sl.LensModel:
    """Each tiny model in turn, the one with soft caps among them."""
    return loaded[request.param]


@pytest.fixture(scope="session")
def llama(loaded: dict[str, sl.LensModel]) -> sl.LensModel:
    """One tiny model, where the architecture does not matter."""
    return loaded["llama"]


@pytest.fixture(scope="session")
def items() -> sl.data.Items:
    """A few concepts of both kinds in English, Spanish and Korean."""
    return some_items().sample(8)


@pytest.fixture(scope="session")
def prompts(items: sl.data.Items) -> tuple[sl.data.Prompt, ...]:
    """Prompts of different lengths and scripts."""
    return items.prompts()[:7] + items.prompts()[-7:]


@pytest.fixture
def as_users_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the tests' own check of types, which would refuse what users may give."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def _tokenizer(architecture: str) -> PreTrainedTokenizerFast:
    tokenizer = tiny_bpe()
    names = {
        "gpt2": {"bos_token": "<eos>", "eos_token": "<eos>", "pad_token": "<eos>"},  # GPT-2 has one token for all three
        "qwen2": {"eos_token": "<eos>", "pad_token": "<pad>"},  # Qwen has no BOS
    }.get(architecture, {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"})
    if names.get("bos_token") == "<bos>":  # these put it in front; GPT-2 declares one and does not
        ids = [("<bos>", tokenizer.token_to_id("<bos>"))]
        tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=ids)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    if architecture == "llama":
        fast.chat_template = "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant]"
    return fast


def shuffled(model: PreTrainedModel, seed: int = 0) -> PreTrainedModel:
    """The model with all parameters drawn at random, norms and biases too, which are ones and zeros otherwise."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def _model(name: str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    if name == "gemma3":
        return Gemma3ForCausalLM(
            Gemma3TextConfig(
                **_SHAPE, **_INIT, **ids, num_key_value_heads=1, head_dim=16, sliding_window=256, final_logit_softcapping=5.0
            )
        )
    if name == "gemma2":
        caps = {"final_logit_softcapping": 3.0, "attn_logit_softcapping": 2.0}
        return Gemma2ForCausalLM(Gemma2Config(**_SHAPE, **_INIT, **ids, **caps, num_key_value_heads=1, head_dim=16))
    if name == "llama":
        return LlamaForCausalLM(LlamaConfig(**_SHAPE, **_INIT, **ids, num_key_value_heads=1))
    if name == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**_SHAPE, **_INIT, **ids, num_key_value_heads=1, use_sliding_window=False))
    return GPT2LMHeadModel(GPT2Config(vocab_size=_VOCABULARY, n_embd=32, n_layer=4, n_head=2, n_positions=512, **_INIT, **ids))
