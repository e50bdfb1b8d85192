"""Draws the prompts of one layer as points in two dimensions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.errors import UnknownNameError
from steerlens.probing.folds import Folds
from steerlens.probing.holding import concepts_of, implicit, labels_of
from steerlens.probing.probes import difference_of_means_probe
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Axes = Literal["pca", "means"]
COLOURS = ("kind", "locale", "topic")


@dataclass(frozen=True, eq=False)
class ResidualMap(ResultTable):
    """The prompts of one layer as points, with one row per point.

    Columns: layer, concept, locale, kind, topic, prompt, x and y (in the residual stream's units), x_axis and y_axis (names of
    the axes).
    """

    columns: ClassVar[tuple[str, ...]] = ("layer", "concept", "locale", "kind", "topic", "prompt", "x", "y", "x_axis", "y_axis")

    def scatter(self, colour: str = "kind") -> "Figure":
        """Draws the points. Hovering over a point shows its prompt.

        Args:
            colour: the column that decides the colour: ``kind``, ``locale`` or ``topic``.

        Raises:
            UnknownNameError: ``colour`` is not one of these columns.
        """
        from steerlens.plotting import residual_scatter

        if colour not in COLOURS:
            raise UnknownNameError("colour", colour, COLOURS)
        return residual_scatter(self.frame, colour)


def residual_map(
    stack: ResidualStack, layer: int, axes: Axes = "pca", *, locale: str | None = None, n_folds: int = 5, seed: int = 0
) -> ResidualMap:
    """Projects the factual and implicit cultural prompts of a stack at one layer onto two axes.

    Args:
        stack: residuals of factual and cultural prompts.
        layer: a block index that the stack contains.
        axes: ``pca`` takes the first two principal components. ``means`` takes the component of each prompt along the difference
            between the factual and the cultural mean, measured from the midpoint of the two means. This component is **held out**
            by concept: the difference is computed from other concepts. Otherwise, the difference would separate even random
            labels. The second axis of ``means`` is the first principal component perpendicular to the difference.
        locale: the only locale whose prompts are kept; ``None`` keeps all locales.
        n_folds: the number of folds of concepts, for ``means``.
        seed: the seed of the folds.

    Raises:
        LayerError: the stack does not contain this layer.
        UnknownNameError: there are no such axes.
        PromptError: there are no factual and implicit cultural prompts.
        DataError: ``axes`` is ``means``, and a kind has fewer than two concepts.
    """
    import pandas as pd

    if axes not in get_args(Axes):
        raise UnknownNameError("pair of axes", axes, get_args(Axes))
    own = implicit(stack.at_layers([layer]))
    own = own if locale is None else own.where(lambda prompt: prompt.locale == locale)
    rows = own.at(layer) - own.at(layer).mean(0)
    if axes == "pca":
        points, shares = _components(rows, 2)
        names = [f"principal component {at} ({share:.0%} of variance)" for at, share in enumerate(shares, 1)]
    else:
        points = _means_axes(rows, own, n_folds, seed)
        names = ["factual minus cultural, held out", "perpendicular component"]
    table = [
        {"layer": layer, "concept": p.concept, "locale": p.locale, "kind": p.kind, "topic": p.topic, "prompt": p.text}
        for p in own.prompts
    ]
    x, y = points.T.tolist()
    return ResidualMap(pd.DataFrame(table).assign(x=x, y=y, x_axis=names[0], y_axis=names[1]))


def _components(rows: Float[Tensor, "row d"], n: int) -> tuple[Float[Tensor, "row n"], list[float]]:
    """Returns coordinates along the first principal components of centred rows, and each component's share of the variance. The
    sign of a component is chosen so that its coordinate with the largest absolute value is positive. So the sign is the same in
    every run."""
    u, s, _ = torch.linalg.svd(rows, full_matrices=False)
    points = torch.zeros(len(rows), n)
    found = u[:, :n] * s[:n]
    found = found * torch.where(found.gather(0, found.abs().argmax(0, keepdim=True)) < 0, -1.0, 1.0)
    points[:, : found.shape[1]] = found
    shares = (s.square() / s.square().sum().clamp(min=1e-30))[:n].tolist()
    return points, [*shares, *[0.0] * (n - len(shares))]


def _means_axes(rows: Float[Tensor, "row d"], stack: ResidualStack, n_folds: int, seed: int) -> Float[Tensor, "row 2"]:
    folds = Folds.by_concept(labels_of(stack.prompts), concepts_of(stack.prompts), n_folds, seed)
    contrast = folds.contrast() @ rows
    along = difference_of_means_probe(rows[None], folds)[0] / contrast.norm(dim=1, keepdim=True).clamp(min=1e-30)
    held_out = (along * folds.test).sum(0)
    mean = rows[folds.positive].mean(0) - rows[~folds.positive].mean(0)
    unit = mean / mean.norm().clamp(min=1e-30)
    across, _ = _components(rows - (rows @ unit)[:, None] * unit, 1)
    return torch.stack([held_out, across[:, 0]], dim=1)
