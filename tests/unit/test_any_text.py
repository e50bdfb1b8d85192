"""Any text that a user may give: every script, long and short, padded on either side, in half precision."""

from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

import steerlens as sl
from steerlens.data import Item
from steerlens.errors import PromptError
from steerlens.evaluation import Scorer
from steerlens.models import stream
from steerlens.settings import Scoring
from steerlens.testing.folders import tiny_bpe

SCRIPTS = {
    "Arabic": "ما هو الفطور التقليدي؟",
    "Hebrew beside Latin": "מה אוכלים ב-breakfast?",
    "marks of direction": "a\u202eدفتر\u202cb\u200f",
    "Devanagari conjuncts": "नाश्ते में क्या खाते हैं? क्षत्रिय",
    "Thai without spaces": "อาหารเช้าแบบดั้งเดิมคืออะไร",
    "accents that combine": "¿Que\u0301 se desayun\u0303a?",
    "Hangul jamo": "\u110b\u1161\u1102\u1167\u11bc",
    "emoji joined and flags": "👩‍👩‍👧‍👦 🇰🇷 👍🏽 ❤️",
    "characters of no width": "a\u200bb\u200dc\ufeff",
    "beyond the basic plane": "𝒳 𐍈 😀",
    "one character": "x",
}
"""Texts that tokenizers, windows of characters and terminals are known to break on."""
NAMES = ("gemma3", "llama", "gpt2")
_CONTEXT = 48


def _plain(folder: Path, **settings: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, **{"dtype": torch.float32, **settings}).eval()


@torch.no_grad()
def _residuals(plain: Any, ids: list[int]) -> Float[Tensor, "layer d_model"]:
    """Every block's output at the last token, one text at a time. Hugging Face gives the last one after the final norm only."""
    kept: list[Tensor] = []
    inner = plain.transformer.h if hasattr(plain, "transformer") else plain.model.layers
    handles = [
        block.register_forward_hook(lambda *given: kept.append((given[2][0] if isinstance(given[2], tuple) else given[2])[0, -1]))
        for block in inner
    ]
    try:
        plain(torch.tensor([ids]), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(kept)


@torch.no_grad()
def _greedy(plain: Any, ids: list[int], count: int, ends: set[int | None]) -> list[int]:
    text = list(ids)
    while len(text) < len(ids) + count:
        text.append(int(plain(torch.tensor([text]), use_cache=False).logits[0, -1].argmax()))
        if text[-1] in ends:
            return text[len(ids) : -1]
    return text[len(ids) :]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", NAMES)
def test_residuals_of_every_script_in_one_batch(
    name: str, side: str, model_folders: dict[str, Path], loaded: dict[str, sl.LensModel]
) -> None:
    model, plain = loaded[name], _plain(model_folders[name])
    together = model.residuals(list(SCRIPTS.values()), padding_side=side).residuals
    for at, (script, text) in enumerate(SCRIPTS.items()):
        expected = _residuals(plain, list(model.tokenizer.ids(text)))
        torch.testing.assert_close(
            together[:, at], expected, rtol=1e-3, atol=1e-3, msg=lambda said, script=script: f"{script}: {said}"
        )


@pytest.mark.parametrize("name", NAMES)
def test_texts_written_after_every_script(name: str, model_folders: dict[str, Path], loaded: dict[str, sl.LensModel]) -> None:
    """Alone, in a batch that is padded on the left, and piece by piece."""
    model, plain, texts = loaded[name], _plain(model_folders[name]), list(SCRIPTS.values())
    ends = {model.tokenizer.hf.eos_token_id}
    expected = [model.tokenizer.completion(_greedy(plain, list(model.tokenizer.ids(text)), 5, ends)) for text in texts]
    assert model.generate(texts, 5) == expected
    for text, written in zip(texts, expected, strict=True):
        assert model.generate(text, 5) == written
        assert [*stream(model, text, 5)][-1:] in ([written], []), text


@pytest.mark.parametrize("name", NAMES)
def test_choices_of_every_script(name: str, model_folders: dict[str, Path], loaded: dict[str, sl.LensModel]) -> None:
    model, plain = loaded[name], _plain(model_folders[name])
    answers = tuple(text for text in SCRIPTS.values() if text.strip() == text)
    items = [Item(script, "factual", "en-US", text, answers, 0) for script, text in SCRIPTS.items()]
    scorer = Scorer(model, items, Scoring("none"))
    for question, outcome in zip(scorer.questions, scorer.score(), strict=True):
        prompt = list(question.row.prompt)
        for choice, score in zip(question.row.choices, outcome.scores, strict=True):
            with torch.no_grad():
                logits = plain(torch.tensor([[*prompt, *choice]])).logits[0].log_softmax(-1)
            by_hand = sum(float(logits[len(prompt) - 1 + at, token]) for at, token in enumerate(choice))
            assert score == pytest.approx(by_hand, abs=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_text_of_nothing_or_of_white_space_is_refused(name: str, loaded: dict[str, sl.LensModel]) -> None:
    for call in (loaded[name].residuals, loaded[name].generate):
        for text in ("", "   ", "\n\n", "\u3000\u00a0\t"):
            with pytest.raises(PromptError, match="is empty: expected at least one token"):
                call(["something", text])


@pytest.fixture(scope="module")
def short(model_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny models with a context of 48 tokens; Gemma 3 also with windows of 8."""
    folders = {}
    for name in NAMES:
        plain = _plain(model_folders[name])
        own = {"n_positions": _CONTEXT} if name == "gpt2" else {"max_position_embeddings": _CONTEXT}
        if name == "gemma3":
            own |= {"sliding_window": 8}
        config = type(plain.config)(**{**plain.config.to_dict(), **own})
        torch.manual_seed(1)
        folders[name] = tmp_path_factory.mktemp(f"short-{name}")
        type(plain)(config).save_pretrained(folders[name])
        AutoTokenizer.from_pretrained(model_folders[name]).save_pretrained(folders[name])
    return folders


def _text_of(model: sl.LensModel, length: int) -> str:
    """A text of exactly so many tokens, with those that stand in front."""
    text = "a"
    while len(model.tokenizer.ids(text)) < length:
        text += " a" if len(model.tokenizer.ids(text + " a")) <= length else "a"
    assert len(model.tokenizer.ids(text)) == length
    return text


@pytest.mark.parametrize("name", NAMES)
def test_beyond_the_window_and_up_to_the_context(name: str, short: dict[str, Path]) -> None:
    model, plain = sl.load(short[name]), _plain(short[name])
    texts = [_text_of(model, length) for length in (7, 8, 9, 17, _CONTEXT)]
    for side in ("left", "right"):
        found = model.residuals(texts, padding_side=side).residuals
        for at, text in enumerate(texts):
            torch.testing.assert_close(found[:, at], _residuals(plain, list(model.tokenizer.ids(text))), rtol=1e-3, atol=1e-3)
    ends = {model.tokenizer.hf.eos_token_id}
    expected = [model.tokenizer.completion(_greedy(plain, list(model.tokenizer.ids(text)), 6, ends)) for text in texts[:-1]]
    assert model.generate(texts[:-1], 6) == expected


@pytest.mark.parametrize("name", NAMES)
def test_longer_than_the_context_is_refused(name: str, short: dict[str, Path]) -> None:
    model = sl.load(short[name])
    longer = _text_of(model, _CONTEXT + 1)
    with pytest.raises(PromptError, match=rf"{_CONTEXT + 1}.*{_CONTEXT}"):
        model.residuals([longer])
    item = Item("long", "factual", "en-US", _text_of(model, _CONTEXT), ("one", "two"), 0)
    with pytest.raises(PromptError, match=f"{_CONTEXT}"):
        Scorer(model, [item], Scoring("none")).score()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_hugging_faces(name: str, dtype: torch.dtype, model_folders: dict[str, Path]) -> None:
    """As near to Hugging Face in the same precision as rounding allows, and as near to float32 as Hugging Face is."""
    model = sl.load(model_folders[name], dtype=str(dtype).removeprefix("torch."))
    half, whole = _plain(model_folders[name], dtype=dtype), _plain(model_folders[name])
    texts = list(SCRIPTS.values())
    found = model.residuals(texts).residuals.float()
    for at, text in enumerate(texts):
        ids = list(model.tokenizer.ids(text))
        exact, theirs = _residuals(whole, ids), _residuals(half, ids).float()
        ours = found[:, at]
        rounding = (theirs - exact).norm(dim=-1)
        assert ((ours - exact).norm(dim=-1) <= 2 * rounding + 0.02 * exact.norm(dim=-1)).all(), text
    items = [Item(script, "factual", "en-US", text, ("uno", "dos tres", "네"), 0) for script, text in SCRIPTS.items()]
    exact_scores = Scorer(sl.load(model_folders[name]), items, Scoring("token")).score()
    for ours, exact in zip(Scorer(model, items, Scoring("token")).score(), exact_scores, strict=True):
        assert ours.scores == pytest.approx(exact.scores, abs=0.15)


def test_the_tokenizer_of_the_tests_reads_all_of_them() -> None:
    """Or they would be tests of an unknown token."""
    tokenizer = tiny_bpe()
    for text in SCRIPTS.values():
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text
