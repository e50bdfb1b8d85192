"""The whole chain: from a model and items to separability, sweeps, chosen plans and the plane, with its results on disk."""

import logging
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerlens.activations import ResidualStack
from steerlens.data import ENGLISH, KINDS, Items, Split, atlas
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import Mode, Plane, Scoring, Sweep, choose, plane, sweep
from steerlens.evaluation.searching.recipes import VectorsByLocale
from steerlens.evaluation.searching.steps import spaced
from steerlens.models import LensModel, load
from steerlens.models.pooling import Positions
from steerlens.probing import Separability, matched, separability
from steerlens.results import Folder, Study
from steerlens.steering import WHICH, SteeringPlan, Which, difference_of_means

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("steerlens")

_MODES: tuple[Mode, ...] = ("exact", "screened")
_ALIKE = 10
"""Pairs of concepts matched in form below which all train prompts are probed."""
_STRIDED = 6
"""Layers of a strided sweep, evenly spaced, the last one included."""


@dataclass(frozen=True)
class StudySettings:
    """What a study does. The defaults are the demo's."""

    locales: tuple[str, ...] = ("ar-EG", "el-GR", "es-ES", "id-ID", "ko-KR", "zh-CN")
    layers: tuple[int, ...] | str = "all"
    """Layers swept: ``all``, ``strided`` (six, evenly spaced), or block indices. All are captured and probed."""
    strengths: tuple[float, ...] = (0.5, 1.0, 2.0)
    mode: Mode = "screened"
    """How cells are swept: ``exact`` runs all of them, ``screened`` runs those that a prediction finds promising."""
    train_concepts: int | None = 96
    """Concepts of each kind, drawn from train, that vectors are taken from; all of train for ``None``."""
    dev_concepts: int | None = 5
    """Concepts of each kind, drawn from dev, that sweeps and choices run on in every locale; all of dev for ``None``."""
    test_concepts: int | None = 32
    """Concepts of each kind, drawn from test, that the plans are scored on; all of test for ``None``."""
    tokens: Which = "last_onward"
    """Steered tokens. Vectors are read at the last prompt token, so that is where, and after which, they are added."""
    positions: Positions = "last"
    controls: bool = False
    """Whether 20 random directions and another locale's plan stand beside every plan on test, as ``plane`` has them."""
    side_effects: bool = False
    """Whether the plans' side effects on text are taken too."""
    seed: int = 0
    """Of the split, the folds and the bootstrap."""
    scoring: Scoring = field(default_factory=Scoring)
    examples: int = 2
    """Test concepts of each kind and locale whose generations are kept, before and after."""
    max_new_tokens: int = 16

    def __post_init__(self) -> None:
        if self.tokens not in WHICH:
            raise UnknownNameError("choice of tokens", self.tokens, WHICH)
        if self.mode not in _MODES:
            raise UnknownNameError("mode of a study", self.mode, _MODES, "A plan is chosen from cells that were run.")
        counts = (self.train_concepts, self.dev_concepts, self.test_concepts)
        if not self.strengths or 0 in self.strengths or any(count is not None and count < 1 for count in counts):
            raise SettingsError(
                f"strengths {self.strengths} and {counts} concepts of train, dev and test given: expected strengths other than 0 "
                "and at least one concept of each kind, or None for all."
            )

    def parts(self, items: Items) -> Split:
        """Train, dev and test, each with as many concepts of a kind as are used."""
        split = items.split(seed=self.seed)
        return replace(
            split,
            train=split.train.sample(self.train_concepts, seed=self.seed),
            dev=split.dev.sample(self.dev_concepts, seed=self.seed),
            test=split.test.sample(self.test_concepts, seed=self.seed),
        )

    def swept(self, model: LensModel) -> tuple[int, ...]:
        """Block indices that are swept.

        Raises:
            LayerError: a layer that the model does not have.
            SettingsError: a word that is none of ``strided`` and ``all``, or fewer than two layers.
        """
        chosen: Sequence[int] | None = None
        if self.layers == "strided":
            chosen = spaced(range(model.n_layers), _STRIDED)
        elif not isinstance(self.layers, str):
            chosen = self.layers
        elif self.layers != "all":
            raise SettingsError(f"layers {self.layers!r} given: expected 'strided', 'all' or block indices.")
        layers = model.layers(chosen)
        if len(layers) < 2:
            raise SettingsError(f"layers {layers} given: surgical steering adds two vectors at two layers. Give two or more.")
        return layers


def run_study(
    model: LensModel | str = "gemma-3-270m",
    items: Items | None = None,
    settings: StudySettings | None = None,
    *,
    out: str | Path | None = None,
    batch_size: int | None = None,
) -> Study:
    """Runs the whole chain: vectors from train, choices from dev, claims from test.

    Args:
        model: a model, or a name for ``load``.
        items: factual and cultural items in English and the locales; the atlas for ``None``.
        settings: locales, layers, strengths and the rest; the demo's for ``None``.
        out: a folder that every result is written to as soon as it is there.

    Raises:
        FileError: the folder cannot be written; said before anything is computed.
        UnknownNameError: a locale without items.
        SettingsError: no locales, or English among them; fewer than two layers.
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

    log.info("Capturing residual streams of the train prompts")
    stack = keep(
        "residuals", lens.residuals(_captured(split, settings.locales), positions=settings.positions, batch_size=batch_size)
    )
    log.info("Separability of factual and cultural prompts by layer")
    probed = _alike(lens, items, stack, settings, batch_size)
    separated: Separability = keep("separability", separability(probed, vectors_from=stack, seed=settings.seed))
    vectors = _vectors(stack, split.train, settings.locales)
    for name, vector in ((f"{v.name}-{v.locale}", v) for own in vectors.values() for v in own.values()):
        keep(f"vectors/{name}", vector)
    log.info("Sweeping layers and strengths on dev")
    flat = [vector for own in vectors.values() for vector in own.values()]
    common: dict[str, Any] = {"tokens": settings.tokens, "scoring": settings.scoring, "batch_size": batch_size}
    swept: Sweep = keep("sweep", sweep(lens, split.dev, flat, layers, settings.strengths, mode=settings.mode, **common))
    log.info("Choosing plans on dev")
    chosen, tried = choose(lens, split.dev, swept, vectors, **common)
    keep("surgical", tried)
    keep("chosen", chosen)
    plans = {c.method: {locale: c.plan(own) for locale, own in vectors.items()} for c in chosen}
    for method, own_plans in plans.items():
        for locale, plan in own_plans.items():
            keep(f"plans/{method}-{locale}", plan)
    log.info("Scoring the chosen plans on test")
    beside: dict[str, Any] = {"controls": settings.controls, "side_effects": settings.side_effects, "seed": settings.seed}
    placed: Plane = keep("plane", plane(lens, split.test, plans, **beside, scoring=settings.scoring, batch_size=batch_size))
    log.info("Writing examples")
    examples = keep("examples", _examples(lens, split.test, plans, settings))
    manifest = keep("manifest", _manifest(lens, items, split, settings, started))
    return Study(manifest, separated, swept, tried, chosen, placed, examples, vectors, plans)


def _check_locales(locales: Sequence[str], items: Items) -> None:
    if not locales or ENGLISH in locales:
        raise SettingsError(
            f"locales {tuple(locales)} given: expected at least one, and not {ENGLISH}, which the others are compared with."
        )
    for locale in (ENGLISH, *locales):
        items.of(locale=locale)


def _captured(split: Split, locales: Sequence[str]) -> tuple[Any, ...]:
    return tuple(prompt for prompt in split.train.prompts() if prompt.locale in (ENGLISH, *locales))


def _alike(
    model: LensModel, items: Items, stack: ResidualStack, settings: StudySettings, batch_size: int | None
) -> ResidualStack:
    """Residuals of concepts matched in form, from all of the items, since there are few: nothing is chosen by them."""
    pairs = matched(items.where(lambda item: item.locale in (ENGLISH, *settings.locales)), seed=settings.seed)
    if len(pairs.concepts) < 2 * _ALIKE:
        log.info("Too few concepts are alike in form: all train prompts are probed")
        return stack
    return model.residuals(pairs.prompts(explicit=False), positions=settings.positions, batch_size=batch_size)


def _vectors(stack: ResidualStack, train: Items, locales: Sequence[str]) -> VectorsByLocale:
    return {
        locale: {
            "EN": difference_of_means(stack, train.english_pairs(locale)),
            "LOC": difference_of_means(stack, train.localized_pairs(locale)),
        }
        for locale in locales
    }


def _examples(
    model: LensModel, test: Items, plans: dict[str, dict[str, SteeringPlan]], settings: StudySettings
) -> "pd.DataFrame":
    """What the model writes to a few test questions, unsteered and under each plan."""
    import pandas as pd

    rows = []
    for locale in settings.locales:
        kinds = [list(test.of(kind=kind, locale=locale))[: settings.examples] for kind in KINDS]
        asked = [item for kind in kinds for item in kind]
        prompts = [item.prompt().text for item in asked]
        texts = {"unsteered": model.generate(prompts, settings.max_new_tokens)}
        for method, own in plans.items():
            with own[locale].applied(model):
                texts[method] = model.generate(prompts, settings.max_new_tokens)
        for method, written in texts.items():
            for item, text in zip(asked, written, strict=True):
                answer = item.choices[item.answer]
                base = {"locale": locale, "kind": item.kind, "concept": item.concept, "question": item.question, "answer": answer}
                rows.append({**base, "method": method, "text": text.strip().split("\n")[0]})
    return pd.DataFrame(rows)


def _manifest(model: LensModel, items: Items, split: Split, settings: StudySettings, started: float) -> dict[str, Any]:
    packages = ("steerlens", "torch", "transformers", "transformer-lens", "scikit-learn", "numpy", "pandas", "plotly")
    parts = {"train": split.train, "dev": split.dev, "test": split.test}
    return {
        "model": model.fingerprint.to_dict(),
        "device": str(model.device),
        "settings": {**asdict(settings), "layers_swept": list(settings.swept(model))},
        "data": {
            "name": items.name,
            "sha256": items.digest(),
            "concepts": {n: {k: len(p.of(kind=k).concepts) for k in KINDS} for n, p in parts.items()},
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "platform": platform.platform(),
        "command": sys.argv[1:],
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
    }
