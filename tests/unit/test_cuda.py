"""A model on the device of ``STEERLENS_TEST_DEVICE`` gives what it gives on the CPU, and its fast ways agree in half precision.

On a CPU the same tests run against themselves, so that they are known to run at all. Those marked ``cuda`` need such a GPU.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from places import DEVICE, HERE, some_items

import steerlens as sl
from steerlens.data import Item, Items, Prompt
from steerlens.evaluation import Outcome, Scorer, Scoring, sweep
from steerlens.models import budget
from steerlens.models.budget import memory_of, token_budget
from steerlens.steering import STEERED_TOKENS, SteeredTokens, SteeringPlan, VectorSet, take

LAYERS, NATS = (0, 2), 1e-3
HALVES = {"float16": 0.1, "bfloat16": 0.5}
"""Nats that rounding may make between two ways to one sum of log probabilities."""
TEXTS = ("Hello there", "Pregunta: ¿Qué se desayuna?\nRespuesta:")


class Pair(NamedTuple):
    """One model on the device, and on the CPU."""

    here: sl.LensModel
    cpu: sl.LensModel


@pytest.fixture(scope="module")
def on_cpu(model_folders: dict[str, Path]) -> dict[str, sl.LensModel]:
    return {name: sl.load(model_folders[name], "cpu", "float32") for name in ("llama", "gemma2", "gpt2")}


@pytest.fixture(params=["llama", "gemma2", "gpt2"])
def pair(request: pytest.FixtureRequest, loaded: dict[str, sl.LensModel], on_cpu: dict[str, sl.LensModel]) -> Pair:
    return Pair(loaded[request.param], on_cpu[request.param])


@pytest.fixture
def llamas(llama: sl.LensModel, on_cpu: dict[str, sl.LensModel]) -> Pair:
    return Pair(llama, on_cpu["llama"])


@pytest.fixture(params=HALVES)
def half(request: pytest.FixtureRequest, model_folders: dict[str, Path]) -> sl.LensModel:
    """One model in half precision, on the device."""
    return sl.load(model_folders["llama"], DEVICE, request.param)


@pytest.fixture
def some(items: Items) -> list[Item]:
    spanish = list(items.of(locale="es-ES"))
    return spanish[3:6] + spanish[-2:]


def shots(items: Items, *, shown: bool) -> Scoring:
    return Scoring("none", examples=tuple(items.of(locale="es-ES"))[:3] if shown else ())


def plans_of(vectors: VectorSet, tokens: SteeredTokens) -> list[SteeringPlan]:
    """Plans that begin at one layer, at another, and at two."""
    en = vectors["EN", "es-ES"]
    return [en.at(1, 3.0, tokens), en.at(1, -1.0, tokens), en.at(0, 1.0, tokens) + en.at(2, -2.0, tokens), en.at(3, 2.0, tokens)]


def finished(scorer: Scorer, plans: list[SteeringPlan]) -> dict[int, list[Outcome]]:
    """What a sweep gives, by plan."""
    found = {index: outcomes for index, outcomes in scorer.sweep(plans) if outcomes is not None}
    assert sorted(found) == list(range(len(plans)))
    return found


def sums(outcomes: list[Outcome]) -> list[float]:
    return [score for outcome in outcomes for score in outcome.scores]


def close(found: pd.DataFrame, expected: pd.DataFrame, tolerance: float) -> None:
    """The same words, and numbers that are near."""
    assert list(found.columns) == list(expected.columns)
    for name in expected.columns:
        if expected[name].dtype.kind in "fc":
            np.testing.assert_allclose(found[name], expected[name], atol=tolerance, rtol=tolerance, err_msg=name)
        else:
            assert found[name].tolist() == expected[name].tolist()


def test_a_model_is_on_its_device(llama: sl.LensModel) -> None:
    assert llama.device.type == DEVICE.split(":")[0]
    assert {each.device for each in llama.backend.parameters()} == {llama.device}
    assert sl.load(llama.tl, **HERE).tl is llama.tl  # asked for by the name without its number
    assert sl.load(llama.tl, llama.device).tl is llama.tl


@pytest.mark.parametrize("positions", ["last", "mean", 1])
@pytest.mark.parametrize("side", ["left", "right"])
def test_residuals(pair: Pair, prompts: tuple[Prompt, ...], positions: str | int, side: str) -> None:
    found, expected = (model.residuals(prompts, positions=positions, padding_side=side) for model in pair)
    assert found.residuals.device.type == "cpu"
    assert found.fingerprint.weights == expected.fingerprint.weights
    torch.testing.assert_close(found.residuals, expected.residuals, atol=1e-3, rtol=1e-3)


def test_vectors(pair: Pair, items: Items) -> None:
    for mine, theirs in zip(*(take(model, items).values() for model in pair), strict=True):
        torch.testing.assert_close(mine.directions, theirs.directions, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("tokens", STEERED_TOKENS)
def test_scores_of_full_passes_and_of_sweeps(
    pair: Pair, items: Items, some: list[Item], tokens: SteeredTokens, shown: bool
) -> None:
    plans = plans_of(take(pair.cpu, items), tokens)
    here, cpu = (Scorer(model, some, shots(items, shown=shown)) for model in pair)
    swept = finished(here, plans)
    assert sums(here.base) == pytest.approx(sums(cpu.base), abs=NATS)
    for index, plan in enumerate(plans):
        expected = pytest.approx(sums(cpu.score(plan)), abs=NATS)
        assert sums(swept[index]) == expected
        assert sums(here.score(plan)) == expected


@pytest.mark.parametrize("tokens", ["all", "last_onward"])
def test_gradients(pair: Pair, some: list[Item], tokens: SteeredTokens) -> None:
    found, expected = (Scorer(model, some).gradients(LAYERS, tokens) for model in pair)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("mode", ["exact", "screened", "attribution"])
def test_sweeps_in_every_mode(llamas: Pair, items: Items, mode: str) -> None:
    vectors = take(llamas.cpu, items)
    found, expected = (sweep(model, items, vectors, layers=LAYERS, strengths=[1.0, 2.0], mode=mode).frame for model in llamas)
    found, expected = (frame[frame["score"].str.contains("margin")] for frame in (found, expected))
    assert len(expected)
    close(found, expected, 5e-3)


def test_texts(pair: Pair, items: Items) -> None:
    plan = plans_of(take(pair.cpu, items), "all")[2]
    assert pair.here.generate(TEXTS, 6) == pair.cpu.generate(TEXTS, 6)
    written = []
    for model in pair:
        with plan.applied(model):
            written.append(model.generate(list(TEXTS), 6))
    assert written[0] == written[1]


def test_a_stream_is_what_is_generated(pair: Pair, items: Items) -> None:
    plan = plans_of(take(pair.cpu, items), "generated")[2]
    for text in TEXTS:
        mine, theirs = (list(sl.models.stream(model, text, 5, around=lambda m=model: plan.applied(m))) for model in pair)
        assert mine == theirs


def test_lenses(llamas: Pair, items: Items) -> None:
    plan = plans_of(take(llamas.cpu, items), "all")[0]
    spanish = items.of(locale="es-ES", kind="factual")
    close(*(sl.probing.logit_lens(model, spanish, plan, draws=20).frame for model in llamas), 5e-3)
    close(*(sl.probing.token_lens(model, TEXTS[1], plan).frame for model in llamas), 5e-3)
    mine, theirs = (sl.probing.token_embeddings(model, spanish.prompts()).residuals for model in llamas)
    torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-3)


def test_probing(llamas: Pair) -> None:
    """The probes are solved on the device: from the same residuals, the same table but for an item or two."""
    items = some_items().sample(16)
    stack = llamas.cpu.residuals(items.prompts())
    probing, few = sl.probing, {"draws": 20, "n_folds": 3}
    for measure in (
        lambda device: probing.separability(stack, probes=("difference of means", "logistic", "LDA"), device=device, **few),
        lambda device: probing.permutation_test(stack, device=device, **few),
        lambda device: probing.erasure(stack, directions=2, device=device, **few),
        lambda device: probing.selectivity(stack, labellings=3, draws=20, device=device),
        lambda device: probing.geometry(stack, draws=20, device=device),
    ):
        close(measure(DEVICE).frame, measure("cpu").frame, 0.05)


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("tokens", ["all", "last_onward"])
def test_the_fast_ways_agree_with_full_passes_in_half_precision(
    half: sl.LensModel, items: Items, some: list[Item], tokens: SteeredTokens, shown: bool
) -> None:
    plans, tolerance = plans_of(take(half, items), tokens), HALVES[str(half.dtype).removeprefix("torch.")]
    scorer = Scorer(half, some, shots(items, shown=shown))
    for index, outcomes in finished(scorer, plans).items():
        assert sums(outcomes) == pytest.approx(sums(scorer.score(plans[index])), abs=tolerance)
    assert sums(scorer.base) == pytest.approx(sums(scorer.score()), abs=tolerance)
    assert scorer.gradients(LAYERS, tokens).isfinite().all()
    assert all(half.trusted.values()), half.trusted  # none was given up for whole passes


def test_half_precision_writes_and_reads(half: sl.LensModel, items: Items, prompts: tuple[Prompt, ...]) -> None:
    together = half.residuals(prompts).residuals
    alone = torch.cat([half.residuals([prompt]).residuals for prompt in prompts], dim=1)
    assert together.dtype == torch.float32
    assert ((together - alone).norm(dim=-1) <= 0.05 * alone.norm(dim=-1)).all()
    with plans_of(take(half, items), "all")[0].applied(half):
        assert half.generate(TEXTS[0], 5) == list(sl.models.stream(half, TEXTS[0], 5))[-1]


@pytest.mark.cuda
def test_a_gpu_is_the_default_and_computes_in_bfloat16(model_folders: dict[str, Path]) -> None:
    model = sl.load(model_folders["llama"])
    assert model.device.type == "cuda"
    assert model.dtype == (torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32)


@pytest.mark.cuda
def test_the_budget_is_measured_once(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(budget, "cache_folder", lambda: tmp_path)
    memory = memory_of(llama.device)
    assert memory is not None
    found = token_budget(llama, memory)
    assert 2048 <= found <= 65536
    monkeypatch.setattr(budget, "_trial", lambda *_: pytest.fail("a second pass"))
    assert token_budget(llama, memory) == found
    assert memory.taken(lambda: torch.empty(1 << 20, device=llama.device)) == 1 << 22  # and what it was measured by is right


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A quarter of a gibibyte more than what is taken now."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(DEVICE) + (1 << 28)) / total, DEVICE)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, DEVICE)


@pytest.mark.cuda
@pytest.mark.usefixtures("little_memory")
def test_what_memory_does_not_hold_is_run_in_halves(
    llamas: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The attention scores of 2000 rows of 200 tokens take 640 MB, more than there is."""
    monkeypatch.setitem(llamas.here.__dict__, "token_budget", 65536)
    prompts = [f"{number} " + "¿Qué se desayuna? " * 40 for number in range(2000)]
    assert len(llamas.here.tokens(prompts[0])) >= 200
    found = llamas.here.residuals(prompts, batch_size=len(prompts)).residuals
    assert "run in two halves" in caplog.text
    assert llamas.here.token_budget < 65536
    torch.testing.assert_close(found[:, ::500], llamas.cpu.residuals(prompts[::500]).residuals, atol=1e-3, rtol=1e-3)
