"""Measures the similarity of languages, and the reliability of steering vectors, by layer and locale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import ENGLISH, Prompt, PromptPairs, english_pairs, localized_pairs
from steerlens.errors import DataError, PairsError, UnknownNameError
from steerlens.probing.holding import implicit
from steerlens.probing.similarity import centred_cosines, halves, linear_cka, retrieved
from steerlens.progress import progress
from steerlens.statistics import percentile_interval
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure

ALIGNMENTS = ("centred cosine", "retrieval at 1", "linear CKA")
VECTORS = ("cosine", "split-half cosine", "reliability", "relative norm", "ceiling")
_LEAST = 8
"""The smallest number of concepts whose halves are large enough for a CKA."""


@dataclass(frozen=True, eq=False)
class Geometry(ResultTable):
    """The alignment of each locale with English, and the reliability of its vectors, by layer.

    Columns: locale, layer, measure, of (``factual``, ``cultural`` or ``gap``, which is factual minus cultural, for measures of
    alignment; ``EN``, ``LOC`` or ``EN-LOC`` for measures of vectors), value, its 95% interval low and high (NaN if it has none),
    n (concepts or pairs).
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "layer", "measure", "of", "value", "low", "high", "n")

    def heatmap(self, measure: str = "centred cosine", of: str = "gap") -> "Figure":
        """Draws a heatmap of layers by locales, coloured by one measure.

        Args:
            measure: a value of the column ``measure``, such as ``centred cosine``.
            of: a value of the column ``of`` for this measure, such as ``gap``.

        Raises:
            UnknownNameError: the table does not have the measure, or the measure does not have this value of ``of``.
        """
        from steerlens.plotting import geometry_heatmap

        self._check(measure, of)
        return geometry_heatmap(self.frame, measure, of)

    def plot(self, measure: str = "centred cosine", locale: str | None = None) -> "Figure":
        """Draws one measure by layer for one locale, with intervals.

        Args:
            measure: a value of the column ``measure``, such as ``centred cosine``.
            locale: the locale that is drawn; ``None`` takes the first locale of the table.

        Raises:
            UnknownNameError: the table does not have the measure or the locale.
        """
        from steerlens.plotting import geometry_lines

        self._check(measure, None)
        return geometry_lines(self.frame, measure, self.having("locale", locale or self.frame["locale"].iloc[0]))

    def _check(self, measure: str, of: str | None) -> None:
        self.having("measure", measure)
        of_known = tuple(dict.fromkeys(self.frame[self.frame["measure"] == measure]["of"]))
        if of is not None and of not in of_known:
            raise UnknownNameError(f"side of {measure}", of, of_known)


def geometry(stack: ResidualStack, *, draws: int = 500, seed: int = 0, device: str | torch.device | None = None) -> Geometry:
    """Measures the alignment of English with each locale, for factual and for cultural concepts, and the reliability of the
    locale's vectors.

    The alignment uses implicit prompts of the same concepts in both languages. Equal numbers of factual and cultural concepts are
    drawn with ``seed``, because retrieval and CKA depend on the number of concepts. The measures are ``centred cosine``,
    ``retrieval at 1`` and ``linear CKA``; see ``probing.similarity``. The intervals of the measures and of the gap are
    percentiles over random halves of the concepts. Halves vary around the full sample as the sample varies around the true value
    (the delete-half jackknife, Shao and Wu 1989).

    If the stack contains the pairs from which vectors are computed, there are five measures of vectors. ``relative norm`` is the
    vector's norm divided by the mean norm of the locale's implicit residuals. ``split-half cosine`` is the cosine between vectors
    from two random halves of the pairs. ``reliability`` is the reliability of the vector from all pairs, by the Spearman-Brown
    formula 2r / (1 + r). ``cosine`` is the cosine between EN and LOC. Its interval comes from random halves of the pairs of both
    vectors. ``ceiling`` is the square root of EN's reliability times LOC's reliability. Even if EN and LOC had the same true
    direction, noise would keep their cosine at about this value or lower (Spearman 1904).

    Args:
        stack: residuals of English and locale prompts. LOC vectors also need explicit prompts.
        draws: the number of random halves.
        seed: the seed for drawing the halves and the compared concepts.
        device: the device of the computation; ``None`` takes a CUDA GPU if there is one, and the CPU if not.

    Raises:
        DataError: no locale shares enough concepts with English.
    """
    import pandas as pd

    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    locales = [x for x in dict.fromkeys(prompt.locale for prompt in stack.prompts) if x and x != ENGLISH]
    rows: list[dict[str, Any]] = []
    with progress(len(locales), "Geometry", "locale") as bar:
        for locale in locales:
            for part in (_alignments(stack, locale, draws, seed, place), _vectors(stack, locale, draws, seed, place)):
                rows.extend({"locale": locale, **row} for row in part)
            bar.update()
    if not rows:
        raise DataError(
            f"no locale of {stack!r} has {_LEAST} factual and {_LEAST} cultural concepts in common with {ENGLISH}, and none "
            f"has pairs for a vector. Capture prompts of {ENGLISH} and of another locale."
        )
    return Geometry(pd.DataFrame(rows, columns=list(Geometry.columns)))


def _alignments(stack: ResidualStack, locale: str, draws: int, seed: int, device: torch.device) -> Iterator[dict[str, Any]]:
    pairs = {kind: _shared(implicit(stack).prompts, locale, kind) for kind in ("factual", "cultural")}
    n = min(map(len, pairs.values()))
    if n < _LEAST:
        return
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, dict[str, tuple[Tensor, Tensor]]] = {}
    for kind, own in pairs.items():
        kept = [own[i] for i in torch.randperm(len(own), generator=generator)[:n].tolist()]
        sides = [stack.of(side).residuals.to(device) for side in zip(*kept, strict=True)]
        found[kind] = _measured(sides[0], sides[1], halves(n, draws, generator).to(device))
    for measure in ALIGNMENTS:
        factual, cultural = (found[kind][measure] for kind in ("factual", "cultural"))
        gap = (factual[0] - cultural[0], factual[1] - cultural[1])
        for of, (value, drawn) in (("factual", factual), ("cultural", cultural), ("gap", gap)):
            yield from _lines(stack.layers, measure, of, value, drawn, n)


def _shared(prompts: Sequence[Prompt], locale: str, kind: str) -> list[tuple[Prompt, Prompt]]:
    """Returns pairs of an English and a locale prompt, for the concepts of a kind that both languages have."""
    own, english = ({p.concept: p for p in prompts if p.locale == x and p.kind == kind} for x in (locale, ENGLISH))
    return [(english[concept], prompt) for concept, prompt in own.items() if concept in english]


def _measured(a: Tensor, b: Tensor, subsets: Float[Tensor, "draw concept"]) -> dict[str, tuple[Tensor, Tensor]]:
    """Returns each measure of alignment twice: over all concepts, ``[layer]``, and over the concepts of each subset,
    ``[draw, layer]``."""
    everything = torch.ones_like(subsets[:1])
    found = {}
    for measure, each in (("centred cosine", centred_cosines(a, b)), ("retrieval at 1", retrieved(a, b))):
        found[measure] = each.mean(dim=1).cpu(), (subsets @ each.T / subsets.sum(1, keepdim=True)).cpu()
    cka = linear_cka(a, b, torch.cat([everything, subsets])).cpu()
    found["linear CKA"] = cka[:, 0], cka[:, 1:].T
    return found


def _vectors(stack: ResidualStack, locale: str, draws: int, seed: int, device: torch.device) -> Iterator[dict[str, Any]]:
    generator = torch.Generator().manual_seed(seed + 1)
    own = stack.where(lambda p: p.locale == locale and p.form != "explicit").residuals.norm(dim=-1).mean(dim=1)
    halved: dict[str, tuple[Tensor, Tensor, Tensor, int]] = {}
    for name, pairing in (("EN", english_pairs), ("LOC", localized_pairs)):
        try:
            pairs: PromptPairs = pairing(stack.prompts, locale)
        except PairsError:
            continue
        differences = (stack.of(pairs.positive).residuals - stack.of(pairs.negative).residuals).to(device)
        whole = differences.mean(dim=1)
        yield from _lines(stack.layers, "relative norm", name, whole.norm(dim=-1).cpu() / own, None, len(pairs))
        if len(pairs) < 4:
            continue
        first = halves(len(pairs), draws, generator).to(device)
        split = [(w / w.sum(1, keepdim=True)) @ differences for w in (first, 1 - first)]  # [layer, draw, d]
        cosines = torch.cosine_similarity(split[0], split[1], dim=-1).T.cpu()
        reliability = (2 * cosines / (1 + cosines).clamp(min=1e-6)).clamp(min=-1)
        halved[name] = whole, split[0], reliability.mean(dim=0), len(pairs)
        yield from _lines(stack.layers, "split-half cosine", name, cosines.mean(dim=0), cosines, len(pairs))
        yield from _lines(stack.layers, "reliability", name, reliability.mean(dim=0), reliability, len(pairs))
    if len(halved) == 2:
        yield from _between(stack.layers, halved["EN"], halved["LOC"])


def _between(layers: Sequence[int], en: Any, loc: Any) -> Iterator[dict[str, Any]]:
    """Yields the cosine between EN and LOC, and the largest cosine that the noise of the two vectors allows."""
    n = min(en[3], loc[3])
    drawn = torch.cosine_similarity(en[1], loc[1], dim=-1).T.cpu()
    yield from _lines(layers, "cosine", "EN-LOC", torch.cosine_similarity(en[0], loc[0], dim=-1).cpu(), drawn, n)
    yield from _lines(layers, "ceiling", "EN-LOC", (en[2].clamp(min=0) * loc[2].clamp(min=0)).sqrt(), None, n)


def _lines(layers: Sequence[int], measure: str, of: str, value: Tensor, drawn: Tensor | None, n: int) -> Iterator[dict[str, Any]]:
    low, high = percentile_interval(drawn.numpy(), nan_policy="omit") if drawn is not None else (value * float("nan"),) * 2
    for at, layer in enumerate(layers):
        row = {"layer": layer, "measure": measure, "of": of, "n": n}
        yield {**row, "value": float(value[at]), "low": float(low[at]), "high": float(high[at])}
