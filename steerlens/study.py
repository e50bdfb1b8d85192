"""Runs a complete study of a model: separability, sweeps, chosen plans and the transfer-localization plane. The results are
stored on disk."""

import logging
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from steerlens.data import ENGLISH, KINDS, Item, Items, Prompt, Split, atlas
from steerlens.data.locales import next_question
from steerlens.errors import SettingsError
from steerlens.evaluation import Plane, Sweep, plane, sweep
from steerlens.evaluation.running import Executor, Running
from steerlens.evaluation.scores import exact_match
from steerlens.evaluation.text_tasks import WritingTask, captured
from steerlens.models import LensModel, load
from steerlens.probing import Separability, matched, separability
from steerlens.progress import progress
from steerlens.provenance import provenance
from steerlens.results import Folder, Study
from steerlens.settings import StudySettings
from steerlens.steering import UNSTEERED, SteeringPlan, VectorSet, take

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("steerlens")

_ALIKE = 10
"""The smallest number of pairs that are probed. Each pair consists of a factual and a cultural concept whose prompts have a
similar form. If there are fewer pairs, all train prompts are probed instead."""


def run_study(
    model: LensModel | str = "gemma-3-270m",
    items: Items | None = None,
    settings: StudySettings | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = True,
    executor: Executor | None = None,
    batch_size: int | None = None,
) -> Study:
    """Runs a complete study: computes vectors on train, chooses plans on dev, and tests them on test.

    Args:
        model: a model, or a name for ``load``.
        items: factual and cultural items in English and the locales, or ``None`` for the atlas.
        settings: the settings of the study, such as locales, layers and strengths, or ``None`` for the settings of ``steerlens
            demo``.
        out: a folder. Every result is written to this folder as soon as the result is ready, and finished tasks are stored in its
            subfolder ``tasks``.
        resume: whether finished tasks in ``out`` are reused. With ``False``, the finished tasks are removed.
        executor: the executor that runs the tasks. ``sweep`` takes the same executors.
        batch_size: the number of prompts or items in a batch. ``None`` chooses the number for the device.

    Raises:
        FileError: the folder cannot be written. The folder is checked before anything is computed.
        UnknownNameError: a locale has no items.
        SettingsError: no locale is given, English is one of the locales, or fewer than two layers are given.
    """
    settings, started = settings or StudySettings(), time.time()
    folder = Folder.ready(out) if out is not None else None
    items = items if items is not None else atlas(settings.locales)
    _check_locales(settings.locales, items)
    lens = model if isinstance(model, LensModel) else load(model)
    layers = settings.swept(lens)
    split = settings.parts(items)

    def keep(name: str, result: Any) -> Any:
        if folder is not None:
            folder.write(name, result)
        return result

    running = Running(executor) if folder is None else Running.in_folder(folder.path, resume=resume, executor=executor)
    common: dict[str, Any] = {"scoring": settings.scoring, "batch_size": batch_size, "resume": running}
    read = partial(captured, lens, positions=settings.positions, batch_size=batch_size, results=running.results)
    log.info("Capturing residual streams of the train prompts")
    stack = keep("residuals", read(_prompts(split, settings.locales)))
    log.info("Separability of factual and cultural prompts by layer")
    alike = _alike(items, settings)
    separated: Separability = keep(
        "separability", separability(read(alike) if alike else stack, vectors_from=stack, seed=settings.seed)
    )
    vectors: VectorSet = keep("vectors", take(stack, split.train, locales=settings.locales))
    log.info("Sweeping layers and strengths on dev")
    on_dev: dict[str, Any] = {
        "mode": settings.mode,
        "budget": settings.budget,
        "seed": settings.seed,
        "tokens": settings.tokens,
        **common,
    }
    swept: Sweep = keep("sweep", sweep(lens, split.dev, vectors, layers, settings.strengths, **on_dev))
    log.info("Choosing plans on dev")
    chosen = swept.choose(limits=settings.limits, seed=settings.seed)
    keep("surgical", chosen.tried)
    keep("chosen", list(chosen.values()))
    plans = {name: own.plans() for name, own in chosen.items()}
    for method, own_plans in plans.items():
        for locale, plan in own_plans.items():
            keep(f"plans/{method}-{locale}", plan)
    log.info("Scoring the chosen plans on test")
    placed: Plane = keep("plane", plane(lens, split.test, plans, **settings.beside(), **common))
    log.info("Writing examples")
    examples = keep("examples", _examples(lens, split.test, plans, settings, running))
    manifest = keep("manifest", _manifest(lens, items, split, settings, started))
    return Study(manifest, separated, swept, chosen, placed, examples, vectors)


def _check_locales(locales: Sequence[str], items: Items) -> None:
    if not locales or ENGLISH in locales:
        raise SettingsError(
            f"locales {tuple(locales)} given: expected one or more locales without {ENGLISH}, because every locale is "
            f"compared with {ENGLISH}."
        )
    for locale in (ENGLISH, *locales):
        items.of(locale=locale)


def _prompts(split: Split, locales: Sequence[str]) -> tuple[Prompt, ...]:
    """Returns the train prompts in English and the locales."""
    return tuple(prompt for prompt in split.train.prompts() if prompt.locale in (ENGLISH, *locales))


def _alike(items: Items, settings: StudySettings) -> tuple[Prompt, ...]:
    """Returns the prompts of pairs of a factual and a cultural concept with similar form. The prompts are taken from all items
    and not only from train, because there are few of these pairs. No plan is chosen from these prompts."""
    pairs = matched(items.where(lambda item: item.locale in (ENGLISH, *settings.locales)), seed=settings.seed)
    if len(pairs.concepts) < 2 * _ALIKE:
        log.info("Too few factual and cultural concepts are similar in form, so all train prompts are probed")
        return ()
    return tuple(pairs.prompts(explicit=False))


def _examples(
    model: LensModel, test: Items, plans: dict[str, dict[str, SteeringPlan]], settings: StudySettings, running: Running
) -> "pd.DataFrame":
    """Returns the texts that the model writes for a few test questions, unsteered and under each plan."""
    import pandas as pd

    tasks = []
    for locale in settings.locales:
        asked = tuple(item for kind in KINDS for item in list(test.of(kind=kind, locale=locale))[: settings.examples])
        steered = {method: own[locale] if own[locale].steps else None for method, own in plans.items()}
        methods = {UNSTEERED: None, **steered}
        ends = next_question(asked[0].prompt().text) if asked else ()
        tasks += [
            (method, WritingTask(asked, plan, settings.max_new_tokens, scoring=settings.scoring, stop=ends))
            for method, plan in methods.items()
        ]
    with progress(sum(task.size for _, task in tasks), "Examples", "text") as bar:
        results = running.results([task for _, task in tasks], model, bar)
        rows = [
            {**_asked(writing.item), "method": method, "text": writing.text.strip().split("\n")[0], "right": exact_match(writing)}
            for (method, task), result in zip(tasks, results, strict=True)
            for writing in task.writings(result)
        ]
    return pd.DataFrame(rows)


def _asked(item: Item) -> dict[str, str]:
    own = {"locale": item.locale, "kind": item.kind, "concept": item.concept, "question": item.question}
    return {**own, "answer": item.choices[item.answer]}


def _manifest(model: LensModel, items: Items, split: Split, settings: StudySettings, started: float) -> dict[str, Any]:
    parts = {"train": split.train, "dev": split.dev, "test": split.test}
    return provenance(
        model=model.fingerprint.to_dict(),
        device=", ".join(map(str, model.devices)),
        settings={**asdict(settings), "layers_swept": list(settings.swept(model))},
        data={
            "name": items.name,
            "sha256": items.digest(),
            "concepts": {n: {k: len(p.of(kind=k).concepts) for k in KINDS} for n, p in parts.items()},
        },
        platform=platform.platform(),
        threads=torch.get_num_threads(),
        command=sys.argv[1:],
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        seconds=round(time.time() - started, 1),
    )
