"""Measures how well a model predicts texts."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from steerlens.errors import PromptError
from steerlens.evaluation.finite import refuse
from steerlens.models.batches import Row
from steerlens.models.lens import LensModel
from steerlens.models.unembedding import Targets
from steerlens.steering import SteeringPlan


@torch.no_grad()
def nats_per_token(
    model: LensModel, texts: Sequence[str], plan: SteeringPlan | None = None, *, batch_size: int | None = None
) -> list[float]:
    """Returns the mean negative log probability of all tokens of each text except the first token. The mean negative log
    probability is the logarithm of the text's perplexity.

    The first token counts as the prompt, and all other tokens count as generated. A plan therefore steers the same tokens as
    if the model had generated the text. A plan for ``prompt`` tokens steers only the first token.

    Args:
        model: the model that predicts the texts.
        texts: the texts, each of at least two tokens.
        plan: the plan that steers the model; ``None`` means no steering.
        batch_size: the number of texts in a batch; ``None`` takes a number that suits the device.

    Raises:
        PromptError: a text has fewer than two tokens, or is longer than the model's context.
        FingerprintError: the plan belongs to another model.
        ModelError: the unsteered model gives NaN or infinity.
        VectorError: the model gives NaN or infinity under the plan.
    """
    if plan is not None:
        plan.check(model)
    rows = [_row(model, text) for text in texts]
    make = getattr(model.backend, "engine", None)  # some backends, such as vLLM's, score rows themselves
    found = _read(model, rows, plan, batch_size) if make is None else _by_engine(make(model, rows), rows, plan)
    refuse(sum(not math.isfinite(value) for value in found), len(found), "texts", model, plan)
    return found


def _by_engine(engine: Any, rows: Sequence[Row], plan: SteeringPlan | None) -> list[float]:
    """Returns each row's mean negative log probability over the tokens of its only choice."""
    return [-own[0] / len(row.choices[0]) for row, own in zip(rows, engine.log_probabilities(plan), strict=True)]


def _read(model: LensModel, rows: Sequence[Row], plan: SteeringPlan | None, batch_size: int | None) -> list[float]:
    """Returns each row's mean negative log probability, computed from final residuals."""
    found = [0.0] * len(rows)
    unembedding = model.backend.unembedding()
    for indices in model.batches([len(row) for row in rows], batch_size):
        batch = model.batch([rows[i] for i in indices])
        with model.backend.hooked(plan.hooks(model) if plan else []):
            final = model.backend.final(batch)
        # right padding: a row begins at 0, and each token after the prompt is predicted from the previous position
        asked = torch.tensor([(line, at) for line, row in enumerate(batch.rows) for at in range(len(row.prompt), len(row))])
        lines, places = asked.to(final.device).unbind(1)
        targets = Targets(torch.arange(len(asked), device=final.device), batch.tokens[lines, places])
        values = unembedding.log_probabilities(final[lines, places - 1], targets)
        for line, index in enumerate(indices):
            found[index] = -float(values[asked[:, 0] == line].mean())
    return found


def _row(model: LensModel, text: str) -> Row:
    ids = model.tokenizer.ids(text)
    first = 1 + model.tokenizer.n_front(ids)
    if len(ids) <= first:
        raise PromptError(
            f"text {text!r} has only one token: expected at least two tokens, because the first token is not predicted."
        )
    return model.row(ids[:first], [ids[first:]])
