"""What work asks of a machine: blocks are run no more often than they must be, and the device is seldom waited for."""

import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.evaluation import Scorer
from steerlens.steering import SteeringPlan, SteeringVector, difference_of_means
from steerlens.testing.counts import Counts, counted


@pytest.fixture
def roomy(llama: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> sl.LensModel:
    """A model for which all plans of a batch fit one stack."""
    monkeypatch.setitem(llama.__dict__, "token_budget", 1 << 20)
    return llama


@pytest.fixture
def vector(llama: sl.LensModel, items: Items) -> SteeringVector:
    return difference_of_means(llama, items.english_pairs("es-ES"))


def _plans(vector: SteeringVector, n_layers: int, n_strengths: int) -> list[SteeringPlan]:
    return [vector.at(layer, 0.5 + at, "last_onward") for layer in range(n_layers) for at in range(n_strengths)]


def _swept(model: sl.LensModel, items: Items, plans: list[SteeringPlan]) -> tuple[Counts, int]:
    """The counts of a sweep in batches of two items, and the number of batches."""
    list(Scorer(model, items, batch_size=2).sweep(plans))  # compared with whole passes at its first use
    scorer = Scorer(model, items, batch_size=2)
    with counted(model.tl.blocks, model.device) as counts:
        list(scorer.sweep(plans))
    return counts, scorer.n_batches


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_capture_calls_each_block_once_a_batch(llama: sl.LensModel, items: Items, batch_size: int) -> None:
    prompts = items.prompts()[:10]
    assert llama.fingerprint  # reads every weight, once
    with counted(llama.tl.blocks, llama.device) as counts:
        llama.residuals(prompts, batch_size=batch_size)
    assert counts.blocks == llama.n_layers * 10 // batch_size
    assert counts.waits == 10 // batch_size
    with counted(llama.tl.blocks, llama.device) as lower:
        llama.residuals(prompts, [0, 1], batch_size=batch_size)
    assert lower.blocks == 2 * 10 // batch_size


def test_a_sweep_climbs_the_blocks_once(roomy: sl.LensModel, items: Items, vector: SteeringVector) -> None:
    """One whole pass of a batch, and for all plans together the blocks above the lowest layer once."""
    plans = _plans(vector, roomy.n_layers, 2)
    counts, batches = _swept(roomy, items.of(locale="es-ES"), plans)
    assert counts.blocks == batches * (roomy.n_layers + roomy.n_layers - 1)


@pytest.mark.parametrize("n_layers", [1, 4])
@pytest.mark.parametrize("n_strengths", [1, 5])
@pytest.mark.parametrize("n_items", [4, 8])
def test_a_sweep_waits_as_often_whatever_is_swept(
    roomy: sl.LensModel, items: Items, vector: SteeringVector, n_layers: int, n_strengths: int, n_items: int
) -> None:
    """Once for a batch's unsteered answers and once for those of all plans, each counted thrice on a CPU (the copy, and the two
    reads of the copy); and once for the bias of the unembedding."""
    plans = _plans(vector, n_layers, n_strengths)
    counts, batches = _swept(roomy, Items(list(items.of(locale="es-ES"))[:n_items]), plans)
    assert counts.waits <= 3 * 2 * batches + 1


def test_views_are_no_operations_and_waits_are_seen(llama: sl.LensModel) -> None:
    x = torch.arange(12.0).view(3, 4)
    with counted(llama.tl.blocks, llama.device) as counts:
        x.T[1:].unsqueeze(0).expand(2, -1, -1).detach()
        torch.empty(3)
    assert counts == Counts(0, 0, 0)
    with counted(llama.tl.blocks, llama.device) as counts:
        x + 1
        x.mul_(2)
    assert counts == Counts(0, 2, 0)
    for wait in (lambda: x[0, 0].item(), lambda: bool(x[0, 0]), x.nonzero, x.cpu, x.tolist, lambda: x[x[:, 0] > 5]):
        with counted(llama.tl.blocks, llama.device) as counts:
            wait()
        assert counts.waits == 1


def test_counting_leaves_nothing_behind(llama: sl.LensModel, items: Items) -> None:
    before = llama.backend.hooks_on()
    with counted(llama.tl.blocks, llama.device) as counts:
        assert llama.backend.hooks_on() == before
        llama.residuals(items.prompts()[:2])
    seen = counts.blocks
    llama.residuals(items.prompts()[:2])
    assert counts.blocks == seen
