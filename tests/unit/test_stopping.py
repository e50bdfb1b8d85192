"""Texts that end at a stop, in generation and in streams."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import steerlens as sl
from steerlens.errors import SettingsError
from steerlens.models import stream
from steerlens.models.stopping import before_stop, completed

TEXTS = ["Hello", "Hello there, you", "¿Qué se desayuna?", "질문: 안녕?", "a"]
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
    texts = llama.generate("Hello", NEW, sample=True, n=4, stop=stop, seed=2)
    assert [text.partition(stop)[0] for text in llama.generate("Hello", NEW, sample=True, n=4, seed=2)] == texts


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
