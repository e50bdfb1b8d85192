"""Defines the targets for files that steerlens itself saves."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from steerlens.fingerprint import Fingerprint
from steerlens.testing.fuzz.target import Target, right, write_json

FINGERPRINT = Fingerprint("w", "t", "float32", "none", 4, 8, (1,), 1, None, "tiny")
LOCALES = ("es-ES", "ko-KR")
_AGAIN = Path("again.safetensors")


def _vector(name: str = "EN", locale: str = "es-ES") -> Any:
    import torch

    from steerlens.steering import SteeringVector

    directions = torch.arange(32.0).reshape(4, 8) / 10 + 0.1
    known: dict[str, Any] = {
        "n": 3,
        "prompts_sha256": "abc",
        "score": "transfer",
        "notes": {"a": [1, "b"]},
        "positive": torch.ones(4),
    }
    return SteeringVector(directions, (0, 1, 2, 3), FINGERPRINT, name, locale, **known)


def vectors() -> Any:
    """Returns a vector set with steering vectors in two locales, and with edits of two other operations."""
    from steerlens.steering import VectorSet

    own = [_vector(name, locale) for name in ("EN", "LOC") for locale in LOCALES]
    return VectorSet([*own, _vector("X", "").ablation().called("gone"), _vector("Y", "").projection(2.0).called("set")])


def plan() -> Any:
    """Returns a plan with three operations."""
    vector = _vector()
    return vector.at(1, 2.0) + vector.ablation().at(2, 0.5, "all") + vector.projection("negative").at([0, 3])


def _vector_load(folder: Path) -> None:
    from steerlens.steering import SteeringVector

    found = SteeringVector.load(folder / "vector.safetensors")
    right(bool(found.directions.isfinite().all()) and len(repr(found)) > 0, "directions that are not finite")
    _same(found, SteeringVector.load, lambda own: (own.to_dict(), own.directions.tolist()))


def _vectors_load(folder: Path) -> None:
    import torch

    from steerlens.steering import VectorSet

    found = VectorSet.load(folder / "vectors.safetensors")
    if not len(found):
        return
    for vector in found.values():
        for layer in vector.layers:
            residual = torch.ones(1, 2, found.fingerprint.d_model)
            edited = vector.edit(layer)(residual, 0.5, torch.ones(1, 2, dtype=torch.bool))
            right(edited.shape == residual.shape, "an edit that changes the shape")
    _same(found, VectorSet.load, lambda own: own.digest())


def _plan_load(folder: Path) -> None:
    from steerlens.steering import SteeringPlan

    found = SteeringPlan.load(folder / "plan.safetensors")
    right(all(abs(step.strength) < float("inf") for step in found.steps), f"a strength that is not finite in {found}")
    _same(found, SteeringPlan.load, lambda own: own.digest())


def _stack_write(folder: Path) -> None:
    import torch

    from steerlens.activations import ResidualStack
    from steerlens.data import Prompt

    prompts = tuple(Prompt(f"Q{n}?", f"c{n}", "en-US", "factual", "implicit", "food", "") for n in range(3))
    ResidualStack(torch.ones(2, 3, 8), (0, 2), prompts, "last", FINGERPRINT).save(folder / "stack.safetensors")


def _stack_load(folder: Path) -> None:
    from steerlens.activations import ResidualStack

    found = ResidualStack.load(folder / "stack.safetensors")
    right(len(found.table()) == len(found.prompts), "a table with another number of prompts")
    right(found.residuals.shape[0] == len(found.layers), "a number of layers that does not fit the residuals")
    _same(found, ResidualStack.load, lambda own: (own.layers, own.prompts, own.fingerprint, own.residuals.numpy().tobytes()))


def _same(found: Any, load: Callable[[Path], Any], seen: Callable[[Any], Any]) -> None:
    """Saves a loaded object, loads it again, and checks that the two objects are equal."""
    try:
        found.save(_AGAIN)
        right(seen(load(_AGAIN)) == seen(found), "a different object after it is saved and loaded again")
    finally:
        _AGAIN.unlink(missing_ok=True)


def _frame(columns: tuple[str, ...], **known: Any) -> Any:
    """Returns a table of two rows with some columns. The columns contain numbers, except the columns that must contain
    texts."""
    import pandas as pd

    texts = {"method": "EN", "locale": "es-ES", "score": "transfer", "kind": "factual", "vector": "EN", "tokens": "all"}
    texts |= {"concept": "a", "probe": "logistic", "measure": "cosine"}
    own = {name: [texts.get(name, 0.5)] * 2 for name in columns} | known
    return pd.DataFrame(own)


def _tables() -> dict[str, Any]:
    from steerlens.evaluation import Answers, Combinations, Plane, Sweep
    from steerlens.probing import Separability

    meta = {"model": FINGERPRINT.to_dict(), "methods": {"EN": {"es-ES": "x"}}, "read_scores": {"lm_eval acc": {"unit": "share"}}}
    kinds: dict[str, Any] = {
        "plane": Plane,
        "sweep": Sweep,
        "answers": Answers,
        "separability": Separability,
        "surgical": Combinations,
    }
    return {name: kind(_frame(kind.columns or ("plan", "value"), concept=["a", "b"]), meta) for name, kind in kinds.items()}


def _table_write(folder: Path) -> None:
    _tables()["answers"].save(folder / "answers.parquet")


def _table_load(folder: Path) -> None:
    from steerlens.evaluation import Answers
    from steerlens.scores import SCORES

    before = dict(SCORES)
    try:
        found = Answers.load(folder / "answers.parquet")
        right(isinstance(found.meta, dict) and set(Answers.columns) <= set(found.frame.columns), "a table without its columns")
        right(len(found.to_frame()) == len(found.frame), "a copy of the table with another number of rows")
        found.check(model=FINGERPRINT.to_dict(), items="x")
    finally:
        SCORES.clear()
        SCORES.update(before)


def _chosen() -> list[dict[str, Any]]:
    step = {"vector": "EN", "layer": 1, "strength": 2.0, "tokens": "all"}
    told = {"best": [step], "tried": 3, "gains": {"transfer": [0.1, 0.0, 0.2]}, "on_dev": {"transfer": 0.1}, "helps": True}
    own = {"method": "EN", "steps": [step], "aims": ["transfer"], "dev": {"transfer": 0.1, "localization": 0.0}}
    return [{**own, "expected": told}, {**own, "method": "surgical", "steps": [step, {**step, "vector": "LOC", "layer": 2}]}]


def _study_write(folder: Path) -> None:
    from steerlens.tables import ResultTable

    for name, table in _tables().items():
        table.save(folder / f"{name}.parquet")
    ResultTable(_frame(("locale", "method", "text"))).save(folder / "examples.parquet")
    vectors().save(folder / "vectors.safetensors")
    write_json(folder / "manifest.json", {"seconds": 1.0, "settings": {"locales": ["es-ES"]}, "model": FINGERPRINT.to_dict()})
    write_json(folder / "chosen.json", _chosen())


def _study_load(folder: Path) -> None:
    from steerlens.results import Study

    found = Study.load(folder)
    for choice in found.chosen.values():
        str(choice.explained())
        choice.to_dict()
        choice.plans()


def _search_write(folder: Path) -> None:
    from steerlens.evaluation.searching.results import _TABLES

    for name, kind in _TABLES.items():
        kind(_frame(kind.columns)).save(folder / f"{name}.parquet")
    vectors().save(folder / "vectors.safetensors")
    write_json(folder / "manifest.json", {"test_items": "abc", "locales": ["es-ES"]})
    write_json(folder / "choices.json", {"es-ES": _chosen()})


def _search_load(folder: Path) -> None:
    from steerlens.evaluation.searching.results import Search

    found = Search.load(folder)
    for own in found.choices.values():
        for choice in own.values():
            choice.plans()


def _settings_load(folder: Path) -> None:
    from steerlens.settings import Scoring
    from steerlens.steering import StepSpec
    from steerlens.storage import read_json, restored

    values = read_json(folder / "settings.json", "Write it again.")
    given: Mapping[str, Any] = values if isinstance(values, dict) else {}
    Fingerprint.from_dict(given.get("fingerprint", {}))
    Scoring.from_dict(given.get("scoring"))
    str(restored(StepSpec, given.get("step", {}), "a step"))


def _settings_write(folder: Path) -> None:
    own = {"concept": "c", "kind": "factual", "locale": "en-US", "question": "Q?", "choices": ["a", "b"], "answer": 0}
    scoring = {"style": "letters", "examples": [own], "seed": 3}
    step = {"vector": "EN", "layer": 1, "strength": 2.0, "tokens": "all"}
    write_json(folder / "settings.json", {"scoring": scoring, "step": step, "fingerprint": FINGERPRINT.to_dict()})


def _caches_write(folder: Path) -> None:
    write_json(folder / "kept" / "steerlens-files.json", {"x": 1})
    (folder / "kept" / "x").write_bytes(b"1")
    write_json(folder / "batch-memory.json", {"a model": [1000, 0]})


def _caches_load(folder: Path) -> None:
    import os

    from steerlens.models.budget import _kept
    from steerlens.models.cache import is_complete

    is_complete(folder / "kept")
    os.environ["STEERLENS_CACHE"] = str(folder)
    right(all(own.bytes_per_token > 0 for own in _kept().values()), "a token that needs no memory")


def _card_write(folder: Path) -> None:
    from steerlens.alignment.aligned import LOG, TrainingLog
    from steerlens.alignment.cards import CARD

    own = {
        "objective": {"a": 1},
        "source": "s",
        "locales": ["es-ES"],
        "training": {"steps": 4},
        "corpus": "abc",
        "texts": {"n": 1},
    }
    write_json(folder / CARD, {"method": "tune", **own, "model": FINGERPRINT.to_dict(), "done": True, "versions": {"torch": "2"}})
    TrainingLog(_frame(("step", "part", "value"))).save(folder / LOG)
    write_json(folder / "adapter_config.json", {"peft_type": "LORA"})
    (folder / "adapter_model.safetensors").write_bytes(b"x")


def _card_load(folder: Path) -> None:
    from steerlens.alignment import Aligned

    found = Aligned.load(folder)
    repr(found)
    found.card.fingerprint.to_dict()
    right(len(found.log.frame.columns) >= 3, "a log without its columns")
    found.points()


ARTIFACTS = (
    Target("vector", lambda folder: _vector().save(folder / "vector.safetensors") and None, _vector_load, 40),
    Target("vectors", lambda folder: vectors().save(folder / "vectors.safetensors") and None, _vectors_load, 60),
    Target("plan", lambda folder: plan().save(folder / "plan.safetensors") and None, _plan_load, 60),
    Target("stack", _stack_write, _stack_load, 60),
    Target("table", _table_write, _table_load, 60),
    Target("study", _study_write, _study_load, 40),
    Target("search", _search_write, _search_load, 40),
    Target("settings", _settings_write, _settings_load, 40),
    Target("caches", _caches_write, _caches_load, 20),
    Target("aligned", _card_write, _card_load, 40),
)
"""The targets for files that steerlens itself saves."""
