"""The variants of EN and LOC steering, fixed before any of them was run, and their vectors from train."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from experiments.common import Context
from experiments.steps import Source
from experiments.variants.edits import AddScaled, OverLayers
from experiments.variants.maps import Fitted, Solver, fitted, orthogonal, ridge
from steerlens.activations import ResidualStack
from steerlens.data import ENGLISH, Items, PromptPairs
from steerlens.evaluation import SCORES, Scoring
from steerlens.evaluation.english import english_outcomes
from steerlens.evaluation.text_tasks import captured
from steerlens.settings import SteeredTokens
from steerlens.steering import EN, LOC, Intervention, LayerEdits, SteeringVector, VectorSet, loc_against, pooled, take


@dataclass(frozen=True)
class Variant:
    """A way to steer: what its vectors are called, and what is set beside them."""

    name: str
    """``EN`` and ``LOC`` are the standard ones; a variant's name begins with the one that it is a variant of."""
    tokens: SteeredTokens = "last_onward"
    strengths: str = ""
    """Which of the settings' strengths are swept; for ``""`` those of its kind."""
    layers_less: int = 0
    """How many of the swept layers it cannot be steered at."""

    @property
    def kind(self) -> str:
        """``EN`` or ``LOC``."""
        return self.name.partition(":")[0]

    def swept(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        """Returns the strengths that are swept."""
        return tuple(config["strengths"][self.strengths or self.kind])


VARIANTS = (
    Variant("EN"),
    Variant("EN: at all tokens", "all"),
    Variant("EN: at the prompt's tokens", "prompt"),
    Variant("EN: read as the mean"),
    Variant("EN: pooled over locales"),
    Variant("EN: facts known in English"),
    Variant("EN: facts spelled otherwise"),
    Variant("EN: ridge map", strengths="map"),
    Variant("EN: orthogonal map", strengths="map"),
    Variant("EN: over three layers", layers_less=2),
    Variant("EN: scaled to the residual"),
    Variant("LOC"),
    Variant("LOC: another country named"),
    Variant("LOC: read as the mean"),
    Variant("LOC: pooled over locales"),
    Variant("LOC: over three layers", layers_less=2),
    Variant("LOC: without EN"),
)
"""In the order of the tables."""
SOLVERS: dict[str, Solver] = {"ridge": ridge, "orthogonal": orthogonal}


@dataclass(frozen=True)
class Made:
    """The vectors of all variants, and how the maps were set."""

    vectors: VectorSet
    """By variant and locale."""
    maps: list[dict[str, Any]] = field(default_factory=list)
    """A row for each map, locale and layer."""


def made(context: Context, source: Source, layers: Sequence[int]) -> Made:
    """Takes the vectors of all variants from train.

    Args:
        context: the run.
        source: the items, and the residuals of the standard pairs at the last token.
        layers: the swept layers.
    """
    stack, codes = source.stack.at_layers(layers), source.locales
    known = partial(_of_facts, known_in_english(context, source))
    kept = [
        EN,
        LOC,
        replace(EN, name="EN: facts known in English", pairs=known),
        replace(EN, name="EN: facts spelled otherwise", pairs=_spelled_otherwise),
    ]
    last = take(stack, source.train, kept, locales=codes)
    vectors: list[Intervention] = [*last.values(), *_read_elsewhere(context, source, layers)]
    found: dict[str, dict[str, Any]] = {name: {code: last[name, code] for code in codes} for name in ("EN", "LOC")}
    for name, by_locale in found.items():
        vectors += [pooled(by_locale.values(), code).called(f"{name}: pooled over locales") for code in codes]
        vectors += [OverLayers(vector, f"{name}: over three layers") for vector in by_locale.values()]
        elsewhere = [one.name for one in VARIANTS if one.kind == name and one.tokens != "last_onward"]
        vectors += [vector.called(other) for other in elsewhere for vector in by_locale.values()]
    maps: list[dict[str, Any]] = []
    for code in codes:
        en, pairs = found["EN"][code], source.pairs["EN", code]
        vectors += [scaled(en, stack, pairs), without(found["LOC"][code], en)]
        for kind in SOLVERS:
            by_layer = _maps(context.config, kind, stack, pairs)
            edits = {layer: own.map for layer, own in by_layer.items()}
            vectors.append(LayerEdits(edits, en.fingerprint, f"EN: {kind} map", code, EN.score))
            maps += [_row(kind, code, layer, own) for layer, own in by_layer.items()]
    return Made(VectorSet(vectors), maps)


def known_in_english(context: Context, source: Source) -> set[str]:
    """Returns the concepts of train's facts that the unsteered model answers rightly in English."""
    by = [SCORES["consistency"]]  # a score that asks for English outcomes of facts
    found = english_outcomes(context.model, source.train, source.locales, by, Scoring(), None, context.running)
    context.notes["known in English"] = f"{sum(outcome.correct for outcome in found.values())} of {len(found)}"
    return {concept for concept, outcome in found.items() if outcome.correct}


def spelled_alike(items: Items) -> set[tuple[str, str]]:
    """Returns the locale and concept of each factual item whose answer is the same string as in English."""
    return {(item.locale, item.concept) for item in items.spelled_as_in_english() if item.locale != ENGLISH}


def _of_facts(concepts: Iterable[str], items: Items, locale: str) -> PromptPairs:
    return items.only(concepts).english_pairs(locale)


def _spelled_otherwise(items: Items, locale: str) -> PromptPairs:
    alike = {concept for code, concept in spelled_alike(items) if code == locale}
    return items.where(lambda item: item.concept not in alike).english_pairs(locale)


def _read_elsewhere(context: Context, source: Source, layers: Sequence[int]) -> list[Intervention]:
    """Takes the vectors that need residuals of other prompts, or at other positions, than the standard ones."""
    country = loc_against(context.config["country"], "LOC: another country named")
    means = [replace(contrast, name=f"{contrast.name}: read as the mean") for contrast in (EN, LOC)]
    found: list[Intervention] = []
    for contrasts, positions in (([country], "last"), (means, "mean")):
        pairs = [both for contrast in contrasts for both in contrast.pairs_of(source.train, source.locales)]
        prompts = tuple(dict.fromkeys(prompt for both in pairs for prompt in (*both.positive, *both.negative)))
        with context.timed(f"residuals, {positions}, of {len(prompts)} prompts"):
            stack = captured(context.model, prompts, positions, None, context.running.results)
        found += take(stack.at_layers(layers), source.train, contrasts, locales=source.locales).values()
    return found


def scaled(vector: SteeringVector, stack: ResidualStack, pairs: PromptPairs) -> LayerEdits:
    """Returns a vector that is added in proportion to each residual's length: as much as usual on the mean of its own prompts.

    Args:
        vector: the difference of means.
        stack: the residuals of the pairs' negative prompts, which are those that are steered.
        pairs: what the vector was taken from.
    """
    negative = stack.of(pairs.negative)
    edits = {layer: AddScaled(vector.direction(layer), float(negative.at(layer).norm(dim=1).mean())) for layer in vector.layers}
    return LayerEdits(edits, vector.fingerprint, f"{vector.name}: scaled to the residual", vector.locale, vector.score)


def without(vector: SteeringVector, other: SteeringVector) -> SteeringVector:
    """Returns a vector minus its component along another one, at each layer.

    Args:
        vector: what is made orthogonal.
        other: what it is made orthogonal to.
    """
    unit = torch.nn.functional.normalize(other.directions.double(), dim=1)
    along = (vector.directions.double() * unit).sum(dim=1, keepdim=True) * unit
    directions = (vector.directions.double() - along).float()
    return replace(vector, directions=directions, name=f"{vector.name}: without {other.name}", positive=None)


def _maps(config: Mapping[str, Any], kind: str, stack: ResidualStack, pairs: PromptPairs) -> dict[int, Fitted]:
    """Fits a map from the locale's residuals to the English ones at each layer."""
    settings: dict[str, Any] = config["maps"]
    penalties = settings["penalties"] if kind == "ridge" else (0.0,)
    source, target = stack.of(pairs.negative), stack.of(pairs.positive)
    common: dict[str, Any] = {"folds": settings["folds"], "seed": config["seed"]}
    return {
        layer: fitted(source.at(layer), target.at(layer), SOLVERS[kind], settings["ranks"], penalties, **common)
        for layer in stack.layers
    }


def _row(kind: str, code: str, layer: int, own: Fitted) -> dict[str, Any]:
    return {"map": kind, "locale": code, "layer": layer, "rank": own.rank, "penalty": own.penalty, "error": own.error}
