"""Steps that the experiments share: items, vectors from train, plans chosen on dev, differences of methods."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import steerlens as sl
from experiments.common import Context, Skipped
from steerlens.data import ENGLISH, KINDS, Items, PromptPairs, Split
from steerlens.evaluation import MEAN, SCORES, Answers, Chosen
from steerlens.evaluation.text_tasks import captured
from steerlens.steering import EN, LOC, SteeringPlan, SteeringVector, StepSpec, VectorSet, shuffled_vectors, take

Plans = dict[str, dict[str, SteeringPlan]]
"""``plans["surgical"]["es-ES"]``."""
CLAIMED = {contrast.name: contrast.score for contrast in (EN, LOC)}
"""The score that each vector is for."""
MARGINS = {name: SCORES[score].companion for name, score in CLAIMED.items()}
"""The margin behind it, in nats per token."""
REAL_DATA = "STEERLENS_REAL_DATA"
"""The environment variable with the folder that holds public data sets."""


def public(locales: list[str]) -> Items:
    """Returns BMLAMA-53's facts and BLEnD's culture, those that one of the locales asks.

    Raises:
        Skipped: the folder that holds them was not given or is not there.
    """
    folder = public_folder()
    return _beside_blend(sl.data.bmlama(locales, path=folder / "bmlama53"), locales, folder / "blend", "BMLAMA-53 and BLEnD")


def paper(locales: list[str]) -> Items:
    """Returns the data of the paper: Global-MMLU's facts and BLEnD's culture, from the hub or from a folder that holds both.

    Raises:
        Skipped: the data sets cannot be read.
    """
    given = os.environ.get(REAL_DATA)
    exams, blend = (Path(given) / "global-mmlu", Path(given) / "blend") if given else (None, None)
    try:
        return _beside_blend(sl.data.global_mmlu(locales, path=exams), locales, blend, "Global-MMLU and BLEnD")
    except sl.errors.FileError as error:
        raise Skipped(
            f"It needs Global-MMLU and BLEnD: {error} This experiment reads both from the folder in {REAL_DATA} if it is set: "
            "put them there as global-mmlu/ and blend/."
        ) from error


def _beside_blend(facts: Items, locales: list[str], folder: Path | None, name: str) -> Items:
    """Returns facts together with BLEnD's culture, those of its questions that one of the locales asks."""
    culture = sl.data.blend(locales, path=folder).distinctive()
    asked = {item.concept for item in culture if item.locale != ENGLISH}
    return Items((*facts, *culture.only(asked)), name)


def public_folder() -> Path:
    """Returns the folder with ``bmlama53/`` and ``blend/``.

    Raises:
        Skipped: it was not given or is not there.
    """
    given = os.environ.get(REAL_DATA)
    if given and (Path(given) / "bmlama53").is_dir() and (Path(given) / "blend").is_dir():
        return Path(given)
    wrong = f"{given} lacks bmlama53/ or blend/" if given else "no folder was given"
    raise Skipped(
        f"It needs the files of BMLAMA-53 and BLEnD, and {wrong}: "
        f"set {REAL_DATA} to a folder with bmlama53/ (a .tsv per language) and blend/ (a .json per country), as their "
        "repositories have them."
    )


SOURCES = {"atlas": sl.data.atlas, "public": public, "paper": paper}


@dataclass(frozen=True)
class Source:
    """Items cut in three, and what train gave: pairs, their residuals and the vectors."""

    config: Mapping[str, Any]
    split: Split
    train: Items
    """The concepts of train that the settings ask for."""
    pairs: dict[tuple[str, str], PromptPairs]
    """By vector and locale."""
    stack: sl.ResidualStack
    vectors: VectorSet

    @property
    def locales(self) -> list[str]:
        """The locales, without English."""
        return list(self.config["locales"])

    def part(self, which: str) -> Items:
        """Returns the concepts of ``dev`` or ``test`` that the settings ask for."""
        part: Items = getattr(self.split, which)
        return part.sample(self.config[which], seed=self.config["seed"])

    def shuffled(self, draws: int) -> tuple[SteeringVector, ...]:
        """Returns the control of shuffled labels, of every vector."""
        return tuple(
            control
            for key, both in self.pairs.items()
            for control in shuffled_vectors(self.vectors[key], self.stack, both, draws, self.config["seed"])
        )


def prepared(context: Context, config: Mapping[str, Any] | None = None) -> Source:
    """Takes items, and EN and LOC vectors of every locale from train, by an experiment's settings; this one's for ``None``.

    Raises:
        Skipped: the data is not here.
    """
    own = config or context.config
    items = SOURCES[own["data"]](own["locales"])
    split = items.split(seed=own["seed"])
    train = split.train.sample(own["train"], seed=own["seed"])
    pairs = {(both.name, both.locale): both for contrast in (EN, LOC) for both in contrast.pairs_of(train, own["locales"])}
    model = context.model
    with context.timed(f"residuals of {items.name}"):
        sides = [prompt for both in pairs.values() for prompt in (*both.positive, *both.negative)]
        stack = captured(model, tuple(dict.fromkeys(sides)), "last", None, context.running.results)
    source = Source(own, split, train, pairs, stack, take(stack, train, locales=own["locales"]))
    context.notes.setdefault("data", {})[items.name] = {"sha256": items.digest(), **counted(source)}
    return source


def counted(source: Source) -> dict[str, Any]:
    """Counts the pairs of each vector, and the concepts of each kind that are chosen and tested on."""
    pairs = {f"{name} {code}": len(both) for (name, code), both in source.pairs.items()}
    parts = {
        which: {kind: len(source.part(which).of(kind=kind).concepts) for kind in KINDS}
        for which in ("dev", "test")
        if which in source.config
    }
    return {"pairs": pairs, **parts}


def chosen_by(context: Context, name: str, source: Source) -> dict[str, Chosen]:
    """Returns what another experiment chose on dev, with the source's vectors."""
    choices = context.other(name).json("chosen")
    return {choice["method"]: Chosen.from_dict(choice, vectors=source.vectors) for choice in choices}


def best_cells(context: Context, name: str) -> dict[str, StepSpec]:
    """Returns the cell of each vector that raised its score most in another experiment's sweep on dev, even if it lowered it."""
    cells, found = context.other(name).table("sweep"), {}
    for vector, score in CLAIMED.items():
        own = cells[(cells["vector"] == vector) & (cells["score"] == score) & cells["change"].notna()]
        best = own.sort_values(["change", "margin", "strength"], ascending=[False, False, True]).iloc[0]
        found[vector] = StepSpec(vector, int(best["layer"]), float(best["strength"]))
    return found


def differences(answers: Answers, pairs: Sequence[tuple[str, str]], scores: Iterable[str], seed: int) -> pd.DataFrame:
    """Compares several pairs of methods: a row per score and pair, as far as both were scored by it.

    Returns:
        Columns method, against, score, n (concepts), change, low, high.
    """
    by_score = answers.frame.dropna(subset="value").groupby("score")["method"].agg(set)
    both = [(score, *pair) for score in scores for pair in pairs if {*pair} <= by_score.get(score, set())]
    compared = [answers.compare(method, against, score, seed=seed).frame for score, method, against in both]
    return pd.concat(compared, ignore_index=True)[["method", "against", "score", "n", "change", "low", "high"]]


def mean_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows over all locales of a plane or of effects."""
    return frame[frame["locale"] == MEAN]
