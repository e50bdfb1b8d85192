"""Side effects: perplexity as PyTorch computes it, language and repetition of known texts, and text that breaks."""

import sys
from importlib.util import find_spec

import pandas as pd
import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import FingerprintError, PromptError, UnknownNameError
from steerlens.evaluation import SideEffects, Writing, languages, nats_per_token, plane, repetition, side_effects
from steerlens.evaluation.comparing import compared
from steerlens.evaluation.languages import in_language
from steerlens.steering import SteeringPlan, SteeringVector

TEXTS = ["¿Qué se desayuna?", "Pregunta: ¿Cuál es la capital de Japón?\nRespuesta: Tokio", "대표적인 명절은 무엇입니까?"]


def _plan(model: sl.LensModel, strength: float, tokens: str = "all") -> SteeringPlan:
    directions = torch.randn(4, model.d_model, generator=torch.Generator().manual_seed(0))
    return SteeringVector(directions, (0, 1, 2, 3), model.fingerprint).at(1, strength, tokens)


def _cross_entropy(model: sl.LensModel, text: str) -> float:
    ids, first = torch.tensor(model.tokens(text).ids, device=model.device), len(model.tokenizer.front)
    with torch.no_grad():
        logits = model.tl.original_model(ids[None]).logits[0].float()
    return float(torch.nn.functional.cross_entropy(logits[first:-1], ids[first + 1 :]))


def test_perplexity_is_pytorchs_cross_entropy(model: sl.LensModel) -> None:
    assert nats_per_token(model, TEXTS) == pytest.approx([_cross_entropy(model, text) for text in TEXTS], abs=1e-3)


@pytest.mark.parametrize("tokens", ["all", "last_onward"])
def test_steered_as_if_the_model_had_written_it(model: sl.LensModel, tokens: str) -> None:
    """Every token but what stands in front is steered, also by a plan that begins at the prompt's last token."""
    with _plan(model, 3.0).applied(model):
        expected = [_cross_entropy(model, text) for text in TEXTS]
    assert nats_per_token(model, TEXTS, _plan(model, 3.0, tokens), batch_size=2) == pytest.approx(expected, abs=1e-3)


def test_texts_that_cannot_be_scored(loaded: dict[str, sl.LensModel]) -> None:
    with pytest.raises(PromptError, match="one token"):
        nats_per_token(loaded["llama"], ["a"])
    with pytest.raises(FingerprintError):
        nats_per_token(loaded["llama"], TEXTS, _plan(loaded["qwen2"], 1.0))


def test_repetition_of_known_texts(items: Items) -> None:
    def of(words: str) -> float | None:
        return repetition(Writing(items[0], words, tuple(map(ord, words.replace(" ", "")))))  # one token a word

    assert of("a b c d e f") == 0
    assert of("a b c d a b c d") == pytest.approx(1 / 5)  # abcd bcda cdab dabc abcd
    assert of("a a a a a a a") == pytest.approx(3 / 4)
    assert of("a b c") is None


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("대표적인 명절은 무엇입니까?", "ko-KR", True),
        ("What is the capital of Japan?", "ko-KR", False),
        ("Ποια είναι η πρωτεύουσα;", "el-GR", True),
        ("1492", "ko-KR", None),
        ("", "es-ES", None),
    ],
)
def test_script_tells_first(text: str, code: str, expected: bool | None) -> None:
    assert in_language(text, code) is expected


@pytest.mark.skipif(find_spec("py3langid") is None, reason="py3langid is not installed")
def test_shared_scripts_are_told_apart(items: Items) -> None:
    for code in ("es-ES", "en-US"):
        questions = [item.question for item in items.of(locale=code)]
        assert all(in_language(text, code) for text in questions)
        assert not any(in_language(text, "id-ID") for text in questions)
    assert in_language("Madrid", "es-ES") is None  # too short to tell


def test_without_the_classifier_a_shared_script_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    for cached in (languages._identifier, languages._classifier):
        cached.cache_clear()
    try:
        assert in_language("¿Qué se suele desayunar en España?", "es-ES") is None
        assert in_language("대표적인 명절은 무엇입니까?", "ko-KR") is True
    finally:
        for cached in (languages._identifier, languages._classifier):
            cached.cache_clear()


def test_a_plan_that_breaks_text_is_caught_and_one_that_does_nothing_is_not(llama: sl.LensModel, items: Items, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Far towards one token's unembedding the model writes that token only."""
    towards = 100 * llama.tl.unembed.W_U[:, 300].detach().clone().expand(4, -1).contiguous()
    stuck = SteeringVector(towards, (0, 1, 2, 3), llama.fingerprint)
    plans = {name: {c: stuck.at(3, s, "all") for c in ("es-ES", "ko-KR")} for name, s in (("still", 0.0), ("broken", 1.0))}
    found = side_effects(llama, items, {**plans, "same": llama}, concepts=4, max_new_tokens=12)
    frame = found.frame.set_index(["method", "score", "locale"]).sort_index()
    for method in ("still", "same"):
        assert frame.loc[method]["change"].abs().max() < 1e-5
    for score in ("log_perplexity", "repetition"):
        assert (frame.loc[("broken", score), "low"] > 0).all()
    assert frame.loc[("unsteered", "log_perplexity", "mean"), "n"] == 8
    assert found.frame["method"].iloc[0] == "unsteered"
    assert SideEffects.load(found.save(tmp_path / "side.parquet")).frame.equals(found.frame)
    both = plane(llama, items, plans).beside(found)
    row = both.summary().set_index("method").loc["broken"]
    assert all(row[score] for score in ("transfer", "log-perplexity", "repetition"))
    assert both.front() == plane(llama, items, plans).front()


def test_held_out_texts_of_ones_own(llama: sl.LensModel, items: Items) -> None:
    plans = {"still": {"es-ES": _plan(llama, 0.0)}}
    found = side_effects(llama, items, plans, texts={"es-ES": TEXTS[:2]}, concepts=1, max_new_tokens=4).frame
    row = found[(found["score"] == "log_perplexity") & (found["method"] == "unsteered")].iloc[0]
    assert (row["n"], row["value"]) == (2, pytest.approx(sum(nats_per_token(llama, TEXTS[:2])) / 2))
    with pytest.raises(UnknownNameError, match="locale of texts"):
        side_effects(llama, items, plans, texts={"ko-KR": TEXTS}, concepts=1, max_new_tokens=4)


def test_a_score_that_cannot_be_told_unsteered_is_left_out() -> None:
    rows = [
        {"method": method, "of": "", "control": "", "draw": 0, "locale": locale, "concept": "a", "value": value}
        for method, locale, value in (
            ("unsteered", "es-ES", None),
            ("EN", "es-ES", 1.0),  # in Spanish nothing is known of the unsteered model
            ("unsteered", "ko-KR", 1.0),
            ("EN", "ko-KR", 0.0),
        )
    ]
    found = compared(pd.DataFrame(rows), "right_language", "value", 0)
    assert {(row["locale"], row["method"], row["change"]) for row in found} == {
        (locale, method, change) for locale in ("ko-KR", "mean") for method, change in (("unsteered", 0.0), ("EN", -1.0))
    }
