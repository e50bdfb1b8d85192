"""Generation: sampling that repeats, several texts of a prompt, and batches."""

import math
from typing import Any

import pytest
import torch

import steerlens as sl
from steerlens.errors import SettingsError
from steerlens.models import stream
from steerlens.models.batches import TokenBatch, by_prompt
from steerlens.steering import SteeringVector

TEXTS = ["Hello", "Hello there, you", "¿Qué se desayuna?", "질문: 안녕?", "Hello there, you", "a"]
NEW = 12
GOES_ON = {"eos_token_id": -1}
"""As many tokens as were asked for."""


def sampled(model: sl.LensModel, prompts: Any = "Hello", **settings: Any) -> Any:
    return model.generate(prompts, NEW, **{"sample": True, **settings})


def test_one_seed_gives_one_text_and_leaves_pytorchs_random_numbers(model: sl.LensModel) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = sampled(model, TEXTS, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert sampled(model, TEXTS, seed=1) == first
    assert sampled(model, TEXTS, seed=2) != first
    assert first != model.generate(TEXTS, NEW)


def test_without_a_seed_pytorchs_random_numbers_are_drawn(llama: sl.LensModel) -> None:
    torch.manual_seed(3)
    before, first = torch.get_rng_state(), sampled(llama)
    assert not torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    assert sampled(llama) == first == sampled(llama, seed=3)


def test_the_random_numbers_are_left_after_an_error_too(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        torch.rand(1)
        raise RuntimeError("an error in the middle of it")

    monkeypatch.setattr(type(llama.backend), "generate", fail)
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="in the middle"):
        sampled(llama, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_temperature_divides_the_logits(llama: sl.LensModel) -> None:
    """Cold texts are the greedy one, and Hugging Face's own names give the same texts."""
    greedy = llama.generate("Hello", NEW)
    assert sampled(llama, temperature=1e-4, seed=1, top_k=0) == greedy
    assert sampled(llama, temperature=5.0, seed=1, top_k=0) != greedy
    torch.manual_seed(3)
    old = llama.generate("Hello", NEW, do_sample=True, temperature=0.7)
    assert sampled(llama, temperature=0.7, seed=3) == old


def test_hugging_faces_own_name_keeps_the_models_temperature(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    expected = llama.generate("Hello", NEW, do_sample=True, temperature=5.0)
    monkeypatch.setattr(llama.tl.original_model.generation_config, "temperature", 5.0)
    torch.manual_seed(3)
    assert llama.generate("Hello", NEW, do_sample=True) == expected
    assert sampled(llama, seed=3) != expected  # the temperature is 1


def test_several_texts_of_each_prompt(llama: sl.LensModel) -> None:
    one, two = sampled(llama, "Hello", n=3, seed=1), sampled(llama, ["Hello", "a"], n=3, seed=1)
    assert len(one) == len(set(one)) == 3
    assert [len(texts) for texts in two] == [3, 3]
    torch.manual_seed(1)
    assert llama.generate("Hello", NEW, do_sample=True, num_return_sequences=3) == one
    assert llama.generate("Hello", NEW, n=2, num_beams=2) == llama.generate("Hello", NEW, num_return_sequences=2, num_beams=2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sample": True, "temperature": 0.0}, "temperature 0.0 was given: expected a finite number above 0"),
        ({"sample": True, "temperature": -1.0}, "temperature -1.0 was given"),
        ({"sample": True, "temperature": math.nan}, "temperature nan was given"),
        ({"sample": True, "temperature": math.inf}, "temperature inf was given"),
        ({"temperature": 0.7}, "temperature 0.7 was given without sample"),
        ({"do_sample": False, "temperature": 0.7}, "temperature 0.7 was given without sample"),
        ({"sample": True, "n": 0}, "n=0 texts for each prompt"),
        ({"n": 2}, "n=2 was given without sample"),
        ({"num_return_sequences": 2}, "n=2 was given without sample"),
        ({"sample": True, "do_sample": True}, "sample and do_sample=True were given"),
        ({"sample": True, "do_sample": False}, "sample and do_sample=False were given"),
        ({"sample": True, "n": 2, "num_return_sequences": 2}, "n and num_return_sequences=2 were given"),
        ({"stop": "x", "stop_strings": ["x"]}, "stop and stop_strings"),
        ({"stop": ""}, "stop '' was given"),
        ({"stop": ["x", ""]}, "stop '' was given"),
    ],
)
def test_settings_that_mean_nothing_are_refused_in_words(llama: sl.LensModel, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        llama.generate("Hello", 2, **settings)


@pytest.mark.usefixtures("as_users_run_it")
def test_settings_of_another_kind_are_refused_in_words(llama: sl.LensModel) -> None:
    for n in (1.5, "2", True):
        with pytest.raises(SettingsError, match="expected a whole number"):
            sampled(llama, n=n)
    with pytest.raises(SettingsError, match="stop 3 was given"):
        llama.generate("Hello", 2, stop=["x", 3])


def test_prompts_are_batched_longest_first_within_the_tokens_of_a_batch() -> None:
    assert list(by_prompt([3, 9, 3, 5, 1], 10, 1, 40)) == [[1, 3], [0, 2, 4]]
    assert list(by_prompt([3, 9, 3, 5, 1], 10, 2, 40)) == [[1], [3], [0], [2], [4]]
    assert list(by_prompt([3, 9, 3], 10, 1, 5)) == [[1], [0], [2]]
    assert list(by_prompt([50, 1, 1, 1], 10, 1, 1 << 17)) == [[0, 1, 2, 3]]


@pytest.mark.parametrize("steered", [False, True])
def test_many_prompts_are_written_in_batches_and_in_their_order(
    model: sl.LensModel, steered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    vector = SteeringVector(3 * torch.ones(4, model.d_model), (0, 1, 2, 3), model.fingerprint, "EN")
    plan, hooks = vector.at(1, 1.0 if steered else 0.0), model.backend.hooks_on()
    budget = 2 * (NEW + max(len(model.tokens(text)) for text in TEXTS))
    monkeypatch.setitem(model.__dict__, "token_budget", budget)
    with plan.applied(model):
        alone = [model.generate(text, NEW) for text in TEXTS]
        sizes = batches_of(model, monkeypatch)
        assert model.generate(TEXTS, NEW) == alone
    assert len(set(alone)) > 3
    assert 1 < len(sizes) < len(TEXTS)
    assert sum(len(rows) for rows in sizes) == len(TEXTS)
    assert all(len(rows) * (max(rows) + NEW) <= budget for rows in sizes)
    assert [max(rows) for rows in sizes] == sorted((max(rows) for rows in sizes), reverse=True)
    assert model.backend.hooks_on() == hooks


def batches_of(model: sl.LensModel, monkeypatch: pytest.MonkeyPatch, most: int | None = None) -> list[list[int]]:
    """The lengths of the prompts of every batch from now on; more than ``most`` rows do not fit the memory."""
    whole, lengths = type(model.backend).generate, []

    def generate(self: object, batch: TokenBatch, *rest: Any, **settings: Any) -> Any:
        if most and len(batch.rows) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        lengths.append([len(row) for row in batch.rows])
        return whole(self, batch, *rest, **settings)

    monkeypatch.setattr(type(model.backend), "generate", generate)
    return lengths


def test_a_batch_that_does_not_fit_is_written_in_halves(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = llama.generate(TEXTS, NEW)
    monkeypatch.setitem(llama.__dict__, "token_budget", 4096)
    sizes = batches_of(llama, monkeypatch, most=2)
    assert llama.generate(TEXTS, NEW) == expected
    assert {len(rows) for rows in sizes} <= {1, 2}
    assert llama.token_budget < 4096


def test_prompts_of_unlike_lengths_are_written_apart_where_padding_changes_them(
    llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = llama.generate(TEXTS, NEW)
    monkeypatch.setitem(llama.__dict__, "pads_left", False)
    sizes = batches_of(llama, monkeypatch)
    assert llama.generate(TEXTS, NEW) == expected
    assert all(len(set(rows)) == 1 for rows in sizes)
    assert max(map(len, sizes)) > 1


def test_a_bar_is_shown_for_more_than_one_batch(
    llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    llama.generate(TEXTS, 2)
    assert "Texts" not in capsys.readouterr().err
    monkeypatch.setitem(llama.__dict__, "token_budget", 1)
    llama.generate(TEXTS, 2)
    assert "Texts" in capsys.readouterr().err


def test_seeded_texts_are_drawn_again_in_several_batches(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(llama.__dict__, "token_budget", 1)
    first = sampled(llama, ["Hello"] * 3, n=2, seed=1)
    assert sampled(llama, ["Hello"] * 3, n=2, seed=1) == first
    assert len({text for texts in first for text in texts}) == 6


def test_only_the_last_token_of_a_prompt_is_unembedded(model: sl.LensModel) -> None:
    seen: list[int] = []
    head = model.tl.original_model.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    try:
        model.generate(TEXTS, 3, **GOES_ON)
        list(stream(model, TEXTS[1], 3))
    finally:
        handle.remove()
    assert set(seen) == {1}
    assert len(seen) >= 4
