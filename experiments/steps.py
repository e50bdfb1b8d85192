"""Steps that the experiments share: items, vectors from train, plans chosen on dev."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import steerlens as sl
from experiments.common import Context, Skipped
from steerlens.data import ENGLISH, Items, PromptPairs, Split
from steerlens.evaluation import Chosen
from steerlens.steering import SteeringPlan, SteeringVector, difference_of_means, shuffled_vectors

Plans = dict[str, dict[str, SteeringPlan]]
"""``plans["surgical"]["es-ES"]``."""
TOKENS = "last_onward"
"""Vectors are read at the last prompt token, so that is where, and after which, they are added."""


def atlas(locales: list[str], data: Path | None) -> Items:  # noqa: ARG001 (the sources are called alike)
    """The built-in items."""
    return sl.data.atlas(locales)


def public(locales: list[str], data: Path | None) -> Items:
    """BMLAMA-53's facts and BLEnD's culture, those that one of the locales asks.

    Raises:
        Skipped: the folder that holds them was not given or is not there.
    """
    folder = public_folder(data)
    facts = sl.data.bmlama(locales, path=folder / "bmlama53")
    culture = sl.data.blend(locales, path=folder / "blend").distinctive()
    asked = {item.concept for item in culture if item.locale != ENGLISH}
    return Items((*facts, *culture.only(asked)), "BMLAMA-53 and BLEnD")


def public_folder(data: Path | None) -> Path:
    """The folder with ``bmlama53/`` and ``blend/``.

    Raises:
        Skipped: it was not given or is not there.
    """
    if data is not None and (data / "bmlama53").is_dir() and (data / "blend").is_dir():
        return data
    given = "no folder was given" if data is None else f"{data} lacks bmlama53/ or blend/"
    raise Skipped(
        f"It needs the files of BMLAMA-53 and BLEnD, and {given}: set STEERLENS_REAL_DATA or give --data FOLDER, with bmlama53/ "
        "(a .tsv per language) and blend/ (a .json per country), as their repositories have them."
    )


SOURCES = {"atlas": atlas, "public": public}


@dataclass(frozen=True)
class Source:
    """Items cut in three, and what train gave: pairs, their residuals and the vectors."""

    config: Mapping[str, Any]
    split: Split
    pairs: dict[str, dict[str, PromptPairs]]
    """``pairs["es-ES"]["EN"]``, and so the vectors."""
    stack: sl.ResidualStack
    vectors: dict[str, dict[str, SteeringVector]]

    @property
    def locales(self) -> list[str]:
        """The locales, without English."""
        return list(self.config["locales"])

    def part(self, which: str) -> Items:
        """The concepts of ``dev`` or ``test`` that the settings ask for."""
        return drawn(getattr(self.split, which), self.config[which], self.config["seed"])

    def flat(self) -> list[SteeringVector]:
        """Every locale's vectors."""
        return [vector for own in self.vectors.values() for vector in own.values()]

    def shuffled(self, draws: int) -> tuple[SteeringVector, ...]:
        """The control of shuffled labels, of every vector."""
        return tuple(
            control
            for code, own in self.vectors.items()
            for name, vector in own.items()
            for control in shuffled_vectors(vector, self.stack, self.pairs[code][name], draws, self.config["seed"])
        )


def prepared(context: Context, config: Mapping[str, Any] | None = None) -> Source:
    """Items, and EN and LOC vectors of every locale from train, by an experiment's settings; this one's for ``None``.

    Raises:
        Skipped: the data is not here.
    """
    own = config or context.config
    items = SOURCES[own["data"]](own["locales"], context.data)
    split = items.split(seed=own["seed"])
    train = drawn(split.train, own["train"], own["seed"])
    pairs = {code: {"EN": train.english_pairs(code), "LOC": train.localized_pairs(code)} for code in own["locales"]}
    model = context.model
    with context.timed(f"residuals of {items.name}"):
        stack = captured(model, [both for of in pairs.values() for both in of.values()])
    vectors = {code: {name: difference_of_means(stack, both) for name, both in of.items()} for code, of in pairs.items()}
    source = Source(own, split, pairs, stack, vectors)
    context.notes.setdefault("data", {})[items.name] = {"sha256": items.digest(), **counted(source)}
    return source


def drawn(items: Items, wanted: Mapping[str, int | None], seed: int) -> Items:
    """So many concepts of each kind, drawn by the seed; all for ``None``. A smaller draw is part of a larger one."""
    parts = [items.of(kind=kind).sample(n, seed=seed).concepts for kind, n in wanted.items()]
    return items.only(concept for part in parts for concept in part)


def captured(model: sl.LensModel, pairs: Iterable[PromptPairs]) -> sl.ResidualStack:
    """Residuals of the pairs' prompts at all layers, each prompt once."""
    return model.residuals(tuple(dict.fromkeys(prompt for both in pairs for prompt in (*both.positive, *both.negative))))


def counted(source: Source) -> dict[str, Any]:
    """Pairs of each vector, and concepts of each kind that are chosen and tested on."""
    pairs = {f"{name} {code}": len(both) for code, own in source.pairs.items() for name, both in own.items()}
    parts = {
        which: {kind: len(source.part(which).of(kind=kind).concepts) for kind in ("factual", "cultural")}
        for which in ("dev", "test")
        if which in source.config
    }
    return {"pairs": pairs, **parts}


def spaced(n_layers: int, n: int) -> list[int]:
    """``n`` layers, evenly spaced, the last one included; all where there are no more."""
    return sorted({n_layers * (k + 1) // n - 1 for k in range(n)}) if n < n_layers else list(range(n_layers))


def chosen_by(context: Context, name: str) -> tuple[Chosen, ...]:
    """The cells that another experiment chose on dev."""
    return tuple(Chosen.from_dict(choice) for choice in context.other(name).json("chosen"))


def plans_of(chosen: Iterable[Chosen], source: Source) -> Plans:
    """The plan of every choice in every locale, with the source's vectors."""
    return {choice.method: {code: choice.plan(own) for code, own in source.vectors.items()} for choice in chosen}
