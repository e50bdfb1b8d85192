"""Computes log likelihoods of continuations for harnesses, and whether greedy decoding would write the continuations."""

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.errors import ModelError, VectorError
from steerlens.harness.running import SteeredRun
from steerlens.models.batches import Layout, Row
from steerlens.models.halving import in_halves
from steerlens.models.lens import LensModel
from steerlens.models.packing import MicroBatch, PackedRow, packed_rows
from steerlens.models.targets import TargetPositions
from steerlens.models.trust import by_trust, sums_agree
from steerlens.models.unembedding import Unembedding
from steerlens.progress import progress

Likelihood = tuple[float, bool]
"""The sum of a continuation's log probabilities in nats, and whether every token of the continuation was the most probable
token."""
_LOGITS = 1 << 24
"""The largest number of logits that are in memory at the same time."""


@torch.no_grad()
def log_likelihoods(running: SteeredRun, rows: Sequence[Row], batch_size: int | None = None) -> list[list[Likelihood]]:
    """Returns the likelihood of every continuation of every row.

    If the model supports packed rows, all continuations of a prompt follow the prompt in one row. Otherwise each continuation has
    a separate row with its prompt. At the first use on a model, some results are compared with the results of full passes with
    one row for each continuation.

    Args:
        running: the model with its steering.
        rows: prompts with their continuations.
        batch_size: the number of rows in a batch. ``None`` chooses the number for the device.

    Raises:
        ModelError: the unsteered model gives NaN or infinity.
        VectorError: the model gives NaN or infinity under a plan.
    """
    model, plan = running.model, running.prepared.plan
    model.check_unembedding()
    packed = [each for number, row in enumerate(rows) for each in packed_rows(number, row, model)]
    parts = [[packed[i] for i in some] for some in model.batches_of_rows([each.row for each in packed], batch_size)]
    found: list[list[Likelihood]] = [[(math.nan, False)] * len(row.choices) for row in rows]
    _ = model.pads_left  # tested on the model before it is steered
    with running.steered(), progress(len(packed), "Log likelihoods", "row") as bar:
        for part in parts:
            several = any(len(each.row.choices) > 1 for each in part)
            read = by_trust(
                model,
                ("likelihoods", several, plan is not None, bool(running.prepared.hooks)),
                lambda part=part: _read(model, part),  # type: ignore[misc]
                lambda part=part: _alone(model, part),  # type: ignore[misc]
                lambda own, part=part: _same(model, part, own),  # type: ignore[misc]
            )
            for each, own in zip(part, read, strict=True):
                found[each.number][each.first : each.first + len(own)] = own  # parts are sorted by length, not by row
            bar.update(len(part))
    _refuse(running, found)
    return found


def _read(model: LensModel, part: Sequence[PackedRow], layout: Layout = "aligned") -> list[list[Likelihood]]:
    """Returns the likelihoods of each row of a micro-batch. The micro-batch is run in halves if the memory is too small."""
    unembedding = model.backend.unembedding()

    def run(some: Sequence[PackedRow]) -> list[list[Likelihood]]:
        batch = model.batch([each.row for each in some], layout)
        places = TargetPositions.of(batch)
        states = model.backend.final(batch)[places.lines, places.columns]
        values = unembedding.log_probabilities(states, places.targets).double()
        greedy = _most_probable(unembedding, states)[places.targets.places] == places.targets.tokens
        n = sum(places.counts)
        sums = torch.zeros(n, dtype=torch.float64).index_add_(0, places.choices, values).tolist()
        missed = torch.zeros(n, dtype=torch.long).index_add_(0, places.choices, (~greedy).long().cpu()).tolist()
        each = iter(zip(sums, (count == 0 for count in missed), strict=True))
        return [[next(each) for _ in range(count)] for count in places.counts]

    return [row for _, rows in in_halves(model, run, part) for row in rows]


def _most_probable(unembedding: Unembedding, states: Float[Tensor, "place d_model"]) -> Int[Tensor, " place"]:
    """Returns the most probable token at each position."""
    size = max(1, _LOGITS // len(unembedding.weight))
    return torch.cat([unembedding.logits(states[at : at + size]).argmax(dim=1) for at in range(0, len(states), size)])


def _alone(model: LensModel, part: MicroBatch) -> list[list[Likelihood]]:
    """Returns the likelihoods of a micro-batch from full passes, with one row for each continuation."""
    rows = [
        PackedRow(at, Row(each.row.prompt, (choice,), each.row.front))
        for at, each in enumerate(part)
        for choice in each.row.choices
    ]
    found: list[Likelihood] = [(0.0, False)] * len(rows)
    for indices in model.batches([len(each.row) for each in rows], None):
        read = _read(model, [rows[i] for i in indices], "right")
        for index, own in zip(indices, read, strict=True):
            found[index] = own[0]
    each = iter(found)
    return [[next(each) for _ in own.row.choices] for own in part]


def _same(model: LensModel, part: MicroBatch, found: list[list[Likelihood]]) -> bool:
    """Returns whether the longest and the shortest row of a micro-batch have the same results as in full passes."""
    lengths = [len(each.row) for each in part]
    at = sorted({lengths.index(max(lengths)), lengths.index(min(lengths))})
    plain = _alone(model, [part[i] for i in at])
    return sums_agree(model, _sums(found[i] for i in at), _sums(plain))


def _sums(found: Iterable[list[Likelihood]]) -> list[float]:
    return [total for row in found for total, _ in row]


def _refuse(running: SteeredRun, found: list[list[Likelihood]]) -> None:
    sums = torch.tensor(_sums(found), dtype=torch.float64)
    bad = int((~sums.isfinite()).sum())
    if bad:
        what = (
            f"gives NaN or infinite log likelihoods for {bad} of {len(sums)} continuations in {running.model.fingerprint.dtype}"
        )
        if running.prepared.plan is None:
            raise ModelError(f"{running.model.name} {what}: check the weights, or load the model in bfloat16 or float32.")
        raise VectorError(f"plan {running.prepared.plan} {what}: lower the strength, or load the model in bfloat16 or float32.")
