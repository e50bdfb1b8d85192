"""What stands in front of a prompt is what the model's own tokenizer, or its chat template, puts there."""

from pathlib import Path

import pytest
import torch
from tokenizers import processors
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

import steerlens as sl
from steerlens.errors import ModelError, PromptError
from steerlens.models.tokens import Tokenizer, front_length

TEXTS = ("Hello there", "¿Qué se desayuna?", "질문: 설날", " a", "1 2")
CHAT = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("name", ["gemma3", "llama", "qwen2", "gpt2"])
def test_ids_are_the_tokenizers_own(name: str, model_folders: dict[str, Path], loaded: dict[str, sl.LensModel]) -> None:
    """Also TransformerLens' own call on text, which would put a BOS before any of them."""
    own, model = AutoTokenizer.from_pretrained(model_folders[name]), loaded[name]
    for text in TEXTS:
        expected = own(text)["input_ids"]
        assert list(model.tokens(text).ids) == expected
        assert model.tl.to_tokens(text)[0].tolist() == expected
    assert len(model.tokenizer.front) == {"gemma3": 1, "llama": 1, "qwen2": 0, "gpt2": 0}[name]


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt2"])
def test_a_bridge_of_the_users_own_gets_the_models_own_tokens(name: str, model_folders: dict[str, Path]) -> None:
    """TransformerLens reads the tokenizer so that it puts BOS in front, whether the model was trained with one or not."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(model_folders[name]))
    forced = bridge.to_tokens("Hello", prepend_bos=True)[0].tolist()
    own = AutoTokenizer.from_pretrained(model_folders[name])("Hello")["input_ids"]
    assert list(sl.load(bridge).tokens("Hello").ids) == own
    assert (forced == own) == (name == "llama")  # the control: for the others TransformerLens gives something else
    assert bridge.to_tokens("Hello", prepend_bos=True)[0].tolist() == forced  # the user's bridge stays as it was


def test_what_a_user_did_to_a_bridges_tokenizer_counts(model_folders: dict[str, Path]) -> None:
    """Only what stands in front is read from the files."""
    from transformer_lens.model_bridge import TransformerBridge

    tokenizer = AutoTokenizer.from_pretrained(model_folders["gpt2"])
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    bridge = TransformerBridge.boot_transformers(str(model_folders["gpt2"]), tokenizer=tokenizer)
    bridge.tokenizer.chat_template = tokenizer.chat_template
    bridge.tokenizer.add_special_tokens({"additional_special_tokens": ["Hello"]})
    model = sl.load(bridge)
    assert model.tokens("Hello").ids == tuple(bridge.tokenizer("Hello", add_special_tokens=False)["input_ids"])
    assert len(model.tokens("Hello")) == 1
    assert model.tokens(CHAT).ids == model.tokens("Hello").ids
    assert model.tokenizer.front == ()


def test_what_stands_in_front_stands_there_once(loaded: dict[str, sl.LensModel]) -> None:
    llama, qwen = loaded["llama"], loaded["qwen2"]
    plain = llama.tokens("Hello there").ids
    assert plain.count(llama.tokenizer.bos_id) == 1
    assert llama.tokens("<bos><bos>Hello there").ids == plain
    ends = qwen.tokens("<eos>Hello").ids
    assert ends[0] == qwen.tokenizer.hf.eos_token_id  # the user wrote it: nothing of the text is taken away


def test_a_chat_is_what_the_template_writes(model_folders: dict[str, Path], loaded: dict[str, sl.LensModel]) -> None:
    own = AutoTokenizer.from_pretrained(model_folders["llama"])
    ids = own.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False)
    assert list(loaded["llama"].tokens(CHAT).ids) == ids
    assert loaded["llama"].tokens(CHAT).n_front == 1
    own.chat_template = own.chat_template.replace("{{ bos_token }}", "")
    bare = Tokenizer(own)
    assert bare.ids(CHAT) == ids[1:]  # this template writes no BOS, and none is put there
    assert bare.ids("Hello")[0] == own.bos_token_id
    assert Tokenizer(own, prepend_bos=True).ids(CHAT) == ids
    with pytest.raises(PromptError, match="no chat template"):
        loaded["gpt2"].tokens(CHAT)


def test_an_option_adds_and_drops_it(model_folders: dict[str, Path], loaded: dict[str, sl.LensModel]) -> None:
    with_bos, without = loaded["llama"], sl.load(model_folders["llama"], prepend_bos=False)
    assert without.tokens("Hello").ids == with_bos.tokens("Hello").ids[1:]
    assert without.tokens("<bos>Hello").ids == without.tokens("Hello").ids
    assert without.tl.to_tokens("Hello")[0].tolist() == list(without.tokens("Hello").ids)
    assert without.tokens(CHAT).ids == with_bos.tokens(CHAT).ids[1:]
    assert without.fingerprint.differences(with_bos.fingerprint)
    gpt2 = sl.load(model_folders["gpt2"], prepend_bos=True)
    assert gpt2.tokens("Hello").ids == (gpt2.tokenizer.bos_id, *loaded["gpt2"].tokens("Hello").ids)
    assert gpt2.tl.to_tokens("Hello")[0].tolist() == list(gpt2.tokens("Hello").ids)
    with pytest.raises(ModelError, match="declares no BOS"):
        sl.load(model_folders["qwen2"], prepend_bos=True)


def test_several_tokens_in_front(model_folders: dict[str, Path], tmp_path: Path) -> None:
    """As in GLM, whose two are neither BOS; and one that is not the declared BOS, as in XGLM."""
    LlamaForCausalLM.from_pretrained(model_folders["llama"]).save_pretrained(tmp_path)
    own: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(model_folders["llama"])
    ids = [("<pad>", own.pad_token_id), ("<eos>", own.eos_token_id)]
    own.backend_tokenizer.post_processor = processors.TemplateProcessing(single="<pad> <eos> $A", special_tokens=ids)
    own.save_pretrained(tmp_path)
    model = sl.load(tmp_path)
    front = (own.pad_token_id, own.eos_token_id)
    tokens = model.tokens("Hello there")
    assert (tokens.ids[:2], tokens.n_front, model.fingerprint.front) == (front, 2, front)
    assert model.tl.to_tokens("Hello there")[0].tolist() == list(tokens.ids)
    each = [model.residuals(["Hello there"], positions=at).residuals for at in range(2, len(tokens))]
    mean = model.residuals(["Hello there"], positions="mean").residuals
    torch.testing.assert_close(mean, torch.stack(each).mean(0), atol=1e-5, rtol=1e-4)  # neither of the two is averaged over


def test_the_tokenizer_is_part_of_the_fingerprint(model_folders: dict[str, Path], tmp_path: Path) -> None:
    model = sl.load(model_folders["llama"])
    LlamaForCausalLM.from_pretrained(model_folders["llama"]).save_pretrained(tmp_path)
    text = (model_folders["llama"] / "tokenizer.json").read_text(encoding="utf-8")
    AutoTokenizer.from_pretrained(model_folders["llama"]).save_pretrained(tmp_path)
    assert not sl.load(tmp_path).fingerprint.differences(model.fingerprint)
    own = AutoTokenizer.from_pretrained(tmp_path)
    first, second = own.convert_ids_to_tokens([300, 301])
    swapped = text.replace(f'"{first}": 300', f'"{first}": 301').replace(f'"{second}": 301', f'"{second}": 300')
    assert swapped != text
    (tmp_path / "tokenizer.json").write_text(swapped, encoding="utf-8")
    (difference,) = sl.load(tmp_path).fingerprint.differences(model.fingerprint)
    assert difference.startswith("tokenizer")


def test_any_changed_weight_is_part_of_the_fingerprint(model_folders: dict[str, Path]) -> None:
    model = sl.load(model_folders["llama"])
    before = model.fingerprint
    assert model.fingerprint is before  # taken once
    table = model.tl.original_model.get_input_embeddings().weight
    with torch.no_grad():
        table[517, 3] += 1e-3
    assert model.fingerprint.differences(before)
    with torch.no_grad():
        table[517, 3] -= 1e-3
        table[517, 3] = sl.load(model_folders["llama"]).tl.original_model.get_input_embeddings().weight[517, 3]
    assert not model.fingerprint.differences(before)


def test_prompts_that_are_none(loaded: dict[str, sl.LensModel]) -> None:
    llama = loaded["llama"]
    for bad in (3, None, [3], {"role": "user"}, [[]], [], ()):
        with pytest.raises(PromptError):
            llama.generate(bad)


def test_a_role_that_the_template_refuses(loaded: dict[str, sl.LensModel], monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}x"
    monkeypatch.setattr(loaded["llama"].tokenizer.hf, "chat_template", template)
    with pytest.raises(PromptError, match="System role not supported"):
        loaded["llama"].tokens([{"role": "system", "content": "Be brief."}, *CHAT])
    assert loaded["llama"].tokens(CHAT)


def test_generation_of_one_and_of_several(llama: sl.LensModel) -> None:
    one = llama.generate("Hello", 4)
    chat = llama.generate(CHAT, 4)
    assert isinstance(one, str)
    assert isinstance(chat, str)
    assert llama.generate(["Hello", "Hello"], 4) == [one, one]
    assert llama.generate(("Hello", "Hello"), 4) == [one, one]
    assert llama.generate([CHAT, CHAT], 4) == [chat, chat]
    assert llama.generate([sl.data.Prompt("Hello"), CHAT], 4) == [one, chat]
    three = llama.generate("Hello", 4, num_return_sequences=3, do_sample=True)
    assert len(three) == 3
    assert [len(texts) for texts in llama.generate(["Hello", "a"], 4, num_return_sequences=2, num_beams=2)] == [2, 2]


def test_one_text_is_one_prompt(llama: sl.LensModel) -> None:
    assert torch.equal(llama.residuals("Hello").residuals, llama.residuals(["Hello"]).residuals)


@pytest.mark.parametrize(
    ("ids", "front", "bos", "length"),
    [([1, 5], (1,), 1, 1), ([5, 6], (), 1, 0), ([1, 5], (), 1, 1), ([8, 9, 5], (8, 9), None, 2), ([9, 5], (8, 9), None, 0)],
)
def test_front_length(ids: list[int], front: tuple[int, ...], bos: int | None, length: int) -> None:
    assert front_length(ids, front, bos) == length
