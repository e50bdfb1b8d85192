"""Compares numbers with the reference model: tokens, residuals, scores, sweeps and gradients."""

from collections.abc import Iterable
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from steerlens.evaluation import Outcome
from steerlens.steering import STEERED_TOKENS
from steerlens.testing.bench import TEXTS, Bench
from steerlens.testing.findings import Finding, Tally, flat

_NATS = 1e-3
_RESIDUAL = 1e-3
_GRADIENT = 1e-2
_SIDES: tuple[Literal["left", "right"], ...] = ("right", "left")
_PLACES: tuple[str | int, ...] = ("last", "mean", 1)


def front(bench: Bench) -> dict[str, Finding]:
    """Checks that the model sees exactly the tokens that the tokenizer makes."""
    tally = Tally()
    for text in TEXTS:
        ours, theirs = list(bench.model.tokens(text).ids), list(bench.hand.tokenizer(text)["input_ids"])
        if ours != theirs:
            tally.differ("all texts", f"{ours[:3]} … for {theirs[:3]} …")
        tally.compared += 1
    return {"tokens": tally.finding}


def reference(bench: Bench) -> dict[str, Finding]:
    """Checks that two attention functions of Hugging Face agree: ``eager``, which TransformerLens uses, and the default, which
    the reference uses."""
    tally, ids = Tally(_RESIDUAL), bench.model.tokens(TEXTS[0]).ids
    with tally.trying("eager attention"):
        tally.compare("eager attention", bench.hand.eager().residuals(ids), bench.hand.residuals(ids), relative=True)
    return {"eager": tally.finding}


def residuals(bench: Bench) -> dict[str, Finding]:
    """Checks the residual stream at the last token, at an index, and as a mean. Prompts are run alone and in batches that are
    padded on either side."""
    tally, ids = Tally(_RESIDUAL), [bench.model.tokens(text).ids for text in TEXTS]
    by_hand = [bench.hand.residuals(row) for row in ids]
    for place in _PLACES:
        expected = torch.stack([_read(seen, bench.hand.front(row), place) for seen, row in zip(by_hand, ids, strict=True)], dim=1)
        named = str(place) if isinstance(place, str) else f"token {place}"
        for side in _SIDES:
            with tally.trying(f"{named} {side}-padded"):
                ours = bench.model.residuals(TEXTS, positions=place, padding_side=side).residuals
                tally.compare(f"{named} {side}-padded", ours, expected, relative=True)
        with tally.trying(f"{named} alone"):
            ours = bench.model.residuals(TEXTS[:1], positions=place).residuals
            tally.compare(f"{named} alone", ours, expected[:, :1], relative=True)
    return {"residuals": tally.finding}


def scores(bench: Bench) -> dict[str, Finding]:
    """Checks the scores of the unsteered model, without and with solved examples."""
    tally = Tally(_NATS)
    for solved in (False, True):
        expected = torch.cat([bench.scores(cases, {}, "all")[0] for cases in bench.cases(solved=solved)])
        with tally.trying(_named(solved)):
            tally.compare(_named(solved), _scores(bench.scorer(solved=solved).score()), expected)
    return {"scores": tally.finding}


def sweeps(bench: Bench) -> dict[str, Finding]:
    """Checks scores and correct answers under ten plans from one sweep, and under one plan per layer from a second sweep. Scores
    from a full pass are checked too.

    Plans that begin at the same layer are run together, as copies. In the second sweep, all plans begin at different layers.
    """
    swept, hits, full = Tally(_NATS), Tally(), Tally(_NATS)
    cases_of = {solved: bench.cases(solved=solved) for solved in (False, True)}
    for solved, tokens in product((False, True), STEERED_TOKENS):
        where, recipes = f"{tokens} {_named(solved)}", bench.recipes(tokens)
        expected = [
            list(rows) for rows in zip(*(bench.scores_of(recipes, item, tokens) for item in cases_of[solved]), strict=True)
        ]
        for which, some in {"": range(len(recipes)), " (one plan a layer)": range(len(bench.vectors))}.items():
            with swept.trying(where + which):
                found = dict(_finished(bench.scorer(solved=solved).sweep([recipes[index].plan for index in some])))
                for index, outcomes in found.items():
                    swept.compare(where + which, _scores(outcomes), torch.cat(expected[index]))
                    for outcome, item in zip(outcomes, expected[index], strict=True):
                        hits.same(where + which, outcome.correct, int(item.argmax()) == outcome.item.answer)
        with full.trying(where):
            two_layers = len(recipes) - 2
            outcomes = bench.scorer(solved=solved).score(recipes[two_layers].plan)
            full.compare(where, _scores(outcomes), torch.cat(expected[two_layers]))
    return {"sweep": swept.finding, "hits": hits.finding, "full pass": full.finding}


def gradients(bench: Bench) -> dict[str, Finding]:
    """Checks the gradients of each item's margin against automatic differentiation through the reference model. The margin is
    the score of the right answer minus the highest score of the other answers."""
    tally, layers = Tally(_GRADIENT), range(len(bench.vectors))
    cases_of = {solved: bench.cases(solved=solved) for solved in (False, True)}
    for solved, tokens in product((False, True), STEERED_TOKENS):
        where = f"{tokens} {_named(solved)}"
        with tally.trying(where):
            ours = bench.scorer(solved=solved).gradients(list(layers), tokens)
            for number, item in enumerate(bench.items):
                leaves = {layer: torch.zeros(1, bench.model.d_model, requires_grad=True) for layer in layers}
                answers = bench.scores(cases_of[solved][number], leaves, tokens)[0]
                others = [score for index, score in enumerate(answers) if index != item.answer]
                (answers[item.answer] - max(others, key=float)).backward()
                expected = torch.cat([_gradient(leaf) for leaf in leaves.values()])
                if expected.norm() > 0 or ours[:, number].norm() > 0:
                    tally.compare(where, ours[:, number], expected, relative=True)
    return {"gradients": tally.finding}


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _read(seen: Tensor, front: int, place: str | int) -> Tensor:
    """Returns one text's residuals ``[layer, pos, d_model]`` at one place: at the last token, at an index, or as a mean."""
    if place == "mean":
        return seen[:, front:].mean(dim=1)
    return seen[:, -1 if place == "last" else int(place)]


def _named(solved: bool) -> str:
    return "with examples" if solved else "alone"


def _scores(outcomes: Iterable[Outcome]) -> Tensor:
    return flat([list(outcome.scores) for outcome in outcomes])


def _finished(found: Iterable[tuple[int, list[Outcome] | None]]) -> Iterable[tuple[int, list[Outcome]]]:
    return ((index, outcomes) for index, outcomes in found if outcomes is not None)
