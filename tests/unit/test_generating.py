"""Generation: sampling that repeats, several texts of a prompt, texts that end at a stop, and batches."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

import steerlens as sl
from steerlens.errors import SettingsError
from steerlens.models import stream
from steerlens.models.batches import TokenBatch, by_prompt
from steerlens.models.stopping import before_stop, completed
from steerlens.steering import SteeringVector

TEXTS = ["Hello", "Hello there, you", "¿Qué se desayuna?", "질문: 안녕?", "Hello there, you", "a"]
NEW = 12
GOES_ON = {"eos_token_id": -1}
"""As many tokens as were asked for."""


@contextmanager
def seen_passes(model: sl.LensModel) -> Iterator[list[tuple[int, ...]]]:
    """The shape of the tokens of every pass inside."""
    shapes: list[tuple[int, ...]] = []
    body = model.tl.original_model
    handle = body.register_forward_pre_hook(lambda _, __, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True)
    try:
        yield shapes
    finally:
        handle.remove()


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
        ({"sample": True, "temperature": 0.0}, "temperature 0.0 given: expected a finite number above 0"),
        ({"sample": True, "temperature": -1.0}, "temperature -1.0 given"),
        ({"sample": True, "temperature": math.nan}, "temperature nan given"),
        ({"sample": True, "temperature": math.inf}, "temperature inf given"),
        ({"temperature": 0.7}, "temperature 0.7 given without sample"),
        ({"do_sample": False, "temperature": 0.7}, "temperature 0.7 given without sample"),
        ({"sample": True, "n": 0}, "n=0 texts for each prompt"),
        ({"n": 2}, "n=2 given without sample"),
        ({"num_return_sequences": 2}, "n=2 given without sample"),
        ({"sample": True, "do_sample": True}, "sample and do_sample=True given"),
        ({"sample": True, "do_sample": False}, "sample and do_sample=False given"),
        ({"sample": True, "n": 2, "num_return_sequences": 2}, "n and num_return_sequences=2 given"),
        ({"stop": "x", "stop_strings": ["x"]}, "stop and stop_strings"),
        ({"stop": ""}, "stop '' given"),
        ({"stop": ["x", ""]}, "stop '' given"),
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
    with pytest.raises(SettingsError, match="stop 3 given"):
        llama.generate("Hello", 2, stop=["x", 3])


def written_tokens(model: sl.LensModel, text: str) -> list[int]:
    """The tokens that a model writes greedily."""
    batch = model.batch([model.row(model.tokenizer.ids(text))], "left")
    ids = model.backend.generate(batch, NEW, do_sample=False, pad_token_id=model.tokenizer.pad_id, **GOES_ON)
    return ids[0, batch.tokens.shape[1] :].tolist()


def stop_after(model: sl.LensModel, text: str, tokens: int) -> tuple[str, int]:
    """A text that the model's greedy text holds for the first time with so many tokens, or the next number of them for which
    there is one: the end of what they say. And the number."""
    ids = written_tokens(model, text)
    texts = [model.tokenizer.completion(ids[:length]) for length in range(len(ids) + 1)]
    for length in range(tokens, len(ids)):
        for size in range(1, len(texts[length]) + 1):
            end = texts[length][-size:]
            if end not in texts[length - 1] and "�" not in end:
                return end, length
    raise AssertionError(f"{model.name} writes nothing new")


def test_a_stop_ends_a_text_and_its_generation(model: sl.LensModel) -> None:
    whole = model.generate("Hello", NEW, **GOES_ON)
    stop, tokens = stop_after(model, "Hello", 5)
    with seen_passes(model) as passes:
        text = model.generate("Hello", NEW, stop=stop, **GOES_ON)
    assert text == whole[: whole.index(stop)]
    assert len(passes) == tokens < NEW
    assert model.generate("Hello", NEW, stop=["never", stop, whole], **GOES_ON) == text
    with seen_passes(model) as passes:
        assert model.generate("Hello", NEW, stop="never", **GOES_ON) == whole
    assert len(passes) == NEW


def test_a_batch_ends_with_its_last_text(model: sl.LensModel) -> None:
    """Those that ended before say no more, whatever they would have said."""
    stops = [stop_after(model, "Hello", 2)[0], stop_after(model, "¿Qué se desayuna?", 6)[0]]
    alone, lengths = [], []
    for text in ("Hello", "¿Qué se desayuna?"):
        with seen_passes(model) as passes:
            alone.append(model.generate(text, NEW, stop=stops, **GOES_ON))
        lengths.append(len(passes))
    with seen_passes(model) as passes:
        assert model.generate(["Hello", "¿Qué se desayuna?"], NEW, stop=stops, **GOES_ON) == alone
    assert len(passes) == max(lengths) < NEW
    assert min(lengths) < max(lengths)


def test_a_text_that_ended_is_left_alone_where_nothing_pads_it(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an end-of-text token Hugging Face goes on with every row until the whole batch ends."""
    monkeypatch.setattr(llama.tl.original_model.generation_config, "eos_token_id", None)
    first, _ = stop_after(llama, "Hello", 2)
    whole = llama.generate("Hello", NEW)
    stops = [first, whole[max(0, whole.index(first) - 1) :]]  # the second begins before the first, and ends after it
    alone = [llama.generate(text, NEW, stop=stops) for text in TEXTS]
    assert alone[0] == whole[: whole.index(first)]
    assert llama.generate(TEXTS, NEW, stop=stops) == alone


def test_stops_end_beams(llama: sl.LensModel) -> None:
    whole = llama.generate("Hello", NEW, num_beams=3, **GOES_ON)
    stop = whole[len(whole) // 2 :][:3]
    for text in llama.generate("Hello", NEW, n=3, num_beams=3, stop=stop, **GOES_ON):
        assert stop not in text


def test_a_stop_in_the_prompt_is_none(llama: sl.LensModel) -> None:
    whole = llama.generate("Hello", NEW, **GOES_ON)
    assert "Hello" not in whole
    assert llama.generate("Hello", NEW, stop="Hello", **GOES_ON) == whole


def test_stops_with_other_ways_of_generation(llama: sl.LensModel) -> None:
    stop, _ = stop_after(llama, "Hello", 5)
    expected = llama.generate("Hello", NEW, stop=stop, **GOES_ON)
    for settings in (
        {"use_cache": False},
        {"prompt_lookup_num_tokens": 3},
        {"stopping_criteria": [lambda ids, _: ids[:, 0] < 0]},
    ):
        assert llama.generate("Hello", NEW, stop=stop, **settings, **GOES_ON) == expected
    texts = sampled(llama, "Hello", n=4, stop=stop, seed=2)
    assert [text.partition(stop)[0] for text in sampled(llama, "Hello", n=4, seed=2)] == texts


def test_a_stream_ends_where_generate_does(model: sl.LensModel) -> None:
    for least in (1, 2, 5):
        stop, tokens = stop_after(model, "Hello", least)
        pieces = list(stream(model, "Hello", NEW, stop=[stop, "never"]))
        assert pieces[-1] == model.generate("Hello", NEW, stop=[stop, "never"])
        assert len(pieces) == tokens
    assert list(stream(model, "Hello", NEW, stop="never"))[-1] == model.generate("Hello", NEW)
    with pytest.raises(SettingsError, match="stop ''"):
        next(stream(model, "Hello", stop=""))


def test_what_stands_before_the_first_stop() -> None:
    assert before_stop("one two one", ["two", "one"]) == ""
    assert before_stop("one two", ["two", "x"]) == "one "
    assert before_stop("one two", ["three"]) is None
    assert before_stop("one two", []) is None


def test_the_stop_that_fewest_tokens_complete_counts(llama: sl.LensModel) -> None:
    """Not one that begins before it and ends after it, in which the text would have gone on."""
    ids = llama.tokenizer.hf("one two three", add_special_tokens=False)["input_ids"]
    assert completed(llama.tokenizer, ids, ["two", "e two thr"]) == "one "
    assert completed(llama.tokenizer, ids, ["e two thr"]) == "on"
    assert completed(llama.tokenizer, ids, []) == "one two three"


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
