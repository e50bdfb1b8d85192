"""Measures at each layer how alignment changes the residual stream: the similarity of languages, the separability of the kinds of
prompts, and the EN and LOC vectors."""

import gc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from steerlens.activations import ResidualStack
from steerlens.data import ENGLISH, Items
from steerlens.errors import SettingsError
from steerlens.evaluation.methods import Method
from steerlens.models.lens import LensModel
from steerlens.numeric import Layers, layers_of
from steerlens.probing import geometry, separability
from steerlens.steering import EN, LOC, VectorSet, take
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

_PROBE = "difference of means"
BEFORE = "before"
"""The name of the base model in the column ``model``."""


@dataclass(frozen=True, eq=False)
class Inside(ResultTable):
    """A table of measures of the base model (``before``) and of each method's model, by layer and locale.

    The columns are model (``before``, or the method's name), locale, layer, measure, of, value, low, high and n. ``of`` is the
    kind of prompts, or the vector, to which the measure belongs. ``low`` and ``high`` are the ends of the value's 95% interval,
    or NaN if there is no interval. The measures are those of ``sl.probing.geometry`` (``centred cosine``, ``retrieval at 1`` and
    ``linear CKA`` between a locale and English, for factual and cultural prompts; ``relative norm`` and ``cosine`` of EN and LOC)
    and ``separability`` (the held-out AUROC of factual and cultural prompts). A method's model also has ``kept direction`` (the
    cosine between its own EN or LOC vector and the base model's) and ``moved``. ``moved`` is the mean distance by which the
    locale's cultural prompts moved along the base model's LOC vector, where 1 is the length of the vector. A negative number is a
    movement away from the local answers.
    """

    columns: ClassVar[tuple[str, ...]] = ("model", "locale", "layer", "measure", "of", "value", "low", "high", "n")

    def plot(self, measure: str = "centred cosine", of: str = "cultural") -> "Figure":
        """Draws one measure by layer, as the mean over locales, with one line per model.

        Args:
            measure: a value of the column ``measure``.
            of: a value of the column ``of`` that occurs with this measure.

        Raises:
            UnknownNameError: the table does not have the measure, or does not have this value of ``of`` for the measure.
        """
        from steerlens.plotting import inside_figure

        self.having("measure", measure)
        part = self.frame[self.frame["measure"] == measure]
        Inside(part).having("of", of)
        return inside_figure(part[part["of"] == of], measure, of)

    def summary(self) -> "pd.DataFrame":
        """Returns the mean of each measure over layers and locales, with one column per model."""
        keys = ["measure", "of"]
        return self.frame.pivot_table(index=keys, columns="model", values="value", sort=False).reset_index()


def inside(
    model: LensModel,
    methods: Mapping[str, Method | LensModel],
    items: Items,
    *,
    layers: Layers | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Inside:
    """Measures at each layer what alignment changed in the model: the similarity of languages, the separability of the kinds of
    prompts, and the directions of the EN and LOC vectors.

    Args:
        model: the base model.
        methods: the methods or models by name. A method, such as ``Aligned``, must change the weights of the model and must not
            steer.
        items: factual and cultural items in English and in other locales, for example a sample of the test part.
        layers: the block indices. ``None`` takes all blocks.
        draws: how many random halves of the concepts are drawn. The same number of bootstrap resamples gives the intervals.
        seed: the seed of the random halves and resamples.

    Raises:
        SettingsError: a method has the name ``before``, which is reserved for the base model, or a method steers.
        DataError: no locale shares enough concepts with English.
    """
    import pandas as pd

    if BEFORE in methods:
        raise SettingsError(
            f"a method has the name {BEFORE!r}, but this name is reserved for the base model, which is always included. Give "
            "your method another name."
        )
    wanted = model.layers() if layers is None else layers_of(layers, model.layers(), f"model {model.name}")
    locales = tuple(code for code in items.locales if code != ENGLISH)
    rows: list[dict[str, Any]] = []
    base: tuple[ResidualStack, VectorSet] | None = None
    for name in (BEFORE, *methods):  # one model at a time in addition to the base
        own = model if name == BEFORE else _model(methods[name], model, name)
        stack = own.residuals(items.prompts(), wanted)
        vectors = take(stack, items, (EN, LOC), locales=locales)
        rows += [{"model": name, **row} for row in _measured(stack, draws, seed)]
        if base is not None:
            rows += [{"model": name, **row} for row in _compared(*base, stack, vectors)]
        base = base or (stack, vectors)
        del own
        gc.collect()
    return Inside(
        pd.DataFrame(rows, columns=list(Inside.columns)), {"items": items.digest(), "model": model.fingerprint.to_dict()}
    )


def _model(given: Method | LensModel, base: LensModel, name: str) -> LensModel:
    if isinstance(given, LensModel):
        return given
    prepared = given.prepared(base, "")
    if prepared.plan is not None or prepared.hooks:
        raise SettingsError(
            f"method {name!r} steers: expected only methods that change the weights of the model, such as an adapter."
        )
    return prepared.model


def _measured(stack: ResidualStack, draws: int, seed: int) -> Iterator[dict[str, Any]]:
    yield from geometry(stack, draws=draws, seed=seed).frame.to_dict("records")
    table = separability(stack, probes=(_PROBE,), draws=draws, seed=seed).frame
    for row in table[(table["probe"] == _PROBE) & (table["locale"] != "all")].to_dict("records"):
        kept = {name: row[name] for name in ("locale", "layer", "low", "high", "n")}
        yield {**kept, "measure": "separability", "of": "factual and cultural", "value": row["auroc"]}


def _compared(before: ResidualStack, old: VectorSet, after: ResidualStack, new: VectorSet) -> Iterator[dict[str, Any]]:
    """Yields the rows that describe how the base model's vectors changed, and how far cultural prompts moved along its LOC
    vector."""
    for key, vector in old.items():
        name, locale = key
        cosines = torch.stack([_direction(new[key], layer).dot(_direction(vector, layer)) for layer in before.layers])
        yield from _lines(before.layers, cosines, locale=locale, measure="kept direction", of=name, n=getattr(vector, "n", 0))
    for locale in old.locales:
        own = [
            prompt for prompt in before.prompts if (prompt.kind, prompt.locale, prompt.form) == ("cultural", locale, "implicit")
        ]
        moved = (after.of(own).residuals - before.of(own).residuals).mean(dim=1)
        each = [(at, layer, _raw(old["LOC", locale], layer)) for at, layer in enumerate(before.layers)]
        along = torch.stack([moved[at] @ vector / (vector @ vector) for at, _, vector in each])
        yield from _lines(before.layers, along, locale=locale, measure="moved", of="LOC", n=len(own))


def _raw(vector: Any, layer: int) -> torch.Tensor:
    return vector.edit(layer).direction


def _direction(vector: Any, layer: int) -> torch.Tensor:
    return torch.nn.functional.normalize(_raw(vector, layer), dim=0)


def _lines(layers: tuple[int, ...], values: torch.Tensor, **common: Any) -> Iterator[dict[str, Any]]:
    for layer, value in zip(layers, values.tolist(), strict=True):
        yield {**common, "layer": layer, "value": value, "low": float("nan"), "high": float("nan")}
