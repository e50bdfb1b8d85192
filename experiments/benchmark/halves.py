"""How far a sweep in half precision agrees with one in float32 of the same weights."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

import steerlens as sl
from steerlens.evaluation import Outcome, Scorer
from steerlens.steering import SteeringVector
from steerlens.tables import markdown_table

Make = Callable[[torch.dtype], sl.LensModel]


@dataclass(frozen=True)
class Agreement:
    """Of one dtype, over all items, each unsteered and under every plan."""

    dtype: str
    same: int
    """Answers, of ``answers``, that are those of float32."""
    answers: int
    largest: float
    """Largest difference of a choice's log probability, in nats; infinite where one is not finite."""


def agreements(make: Make, items: sl.data.Items, vector: SteeringVector, dtypes: Sequence[torch.dtype]) -> list[Agreement]:
    """Compares each dtype with float32, both with the weights that the dtype has and the same vector at a few layers."""
    found = []
    for dtype in dtypes:
        found.append(_agreement(make, items, vector, dtype))
        print(found[-1])
        gc.collect()  # a bridge refers to itself, and a GPU holds no more than a few large models
    return found


def _agreement(make: Make, items: sl.data.Items, vector: SteeringVector, dtype: torch.dtype) -> Agreement:
    half, full = make(dtype), make(torch.float32)
    with torch.no_grad():
        for own, theirs in zip(full.backend.parameters(), half.backend.parameters(), strict=True):
            own.copy_(theirs)
    return _compared(str(dtype).removeprefix("torch."), *(_answers(model, items, vector) for model in (half, full)))


def agreement_table(found: Sequence[Agreement]) -> str:
    """Markdown."""
    rows = [[each.dtype, each.same, each.answers, f"{each.largest:.3f}"] for each in found]
    header = ["half precision", "same answer as in float32", "of", "largest difference of a log probability, nats"]
    return markdown_table(header, rows) + "\n"


@dataclass(frozen=True)
class _Answer:
    outcome: Outcome
    sums: tuple[float, ...]


def _answers(model: sl.LensModel, items: sl.data.Items, vector: SteeringVector) -> list[_Answer]:
    """Of every item, unsteered and steered after a quarter, half and three quarters of the blocks."""
    own, scorer = replace(vector, fingerprint=model.fingerprint), Scorer(model, items)
    plans = [own.at(model.n_layers * part // 4, 1.0, "last_onward") for part in (1, 2, 3)]
    steered = {index: outcomes for index, outcomes in scorer.sweep(plans) if outcomes is not None}
    return [
        _Answer(outcome, tuple(score * by for score, by in zip(outcome.scores, question.divisors, strict=True)))
        for outcomes in (scorer.base, *(steered[index] for index in range(len(plans))))
        for outcome, question in zip(outcomes, scorer.questions, strict=True)
    ]


def _compared(dtype: str, half: Sequence[_Answer], full: Sequence[_Answer]) -> Agreement:
    same = sum(a.outcome.valid and a.outcome.predicted == b.outcome.predicted for a, b in zip(half, full, strict=True))
    apart = torch.tensor([sum((a.sums for a in side), ()) for side in (half, full)], dtype=torch.float64).diff(dim=0).abs()
    return Agreement(dtype, same, len(full), apart.nan_to_num(torch.inf).max().item())
