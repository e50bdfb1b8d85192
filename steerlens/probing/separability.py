"""Measures the separability of factual and cultural prompts at each layer, compared with baselines that use only the text's
form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import english_pairs, localized_pairs
from steerlens.errors import PairsError, UnknownNameError
from steerlens.probing.baselines import baseline_scores
from steerlens.probing.holding import ALL, Group, HoldOut, labelled
from steerlens.probing.holding import groups as parts_of
from steerlens.probing.probes import PROBES, Probe, chosen_probes, scores_by_layer
from steerlens.progress import progress
from steerlens.statistics import cluster_counts, percentile_interval
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

COSINE = "EN-LOC cosine"


@dataclass(frozen=True, eq=False)
class Separability(ResultTable):
    """Held-out scores of probes and baselines by layer and locale.

    Columns: locale (``all``: one probe over all locales), layer (-1 for a baseline), probe, auroc (mean over folds) with its 95%
    interval low and high, accuracy (mean of the two kinds' accuracies), baseline (name of the best baseline), above (auroc minus
    the best baseline's auroc) with above_low and above_high, peak (share of resamples in which this layer is the probe's best),
    cosine (between EN and LOC vectors, for the probe ``EN-LOC cosine``), n (prompts) and concepts held out.
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("locale", "layer", "probe", "auroc", "low", "high", "accuracy", "baseline"),
        *("above", "above_low", "above_high", "peak", "cosine", "n", "concepts"),
    )

    def peaks(self) -> "pd.DataFrame":
        """Returns the best layer of each probe, and how certain this layer is.

        Columns: locale, probe, layer (with the highest AUROC), auroc, above, share (of resamples in which this layer is the
        best), first and last (the range of layers that contains the best layer in 95% of the resamples).
        """
        import pandas as pd

        rows = []
        for (locale, probe), own in self.frame[self.frame["peak"].notna()].groupby(["locale", "probe"], sort=False):
            best, reached = own.loc[own["auroc"].idxmax()], own.sort_values("layer")["peak"].cumsum()
            layers = [int(own.sort_values("layer")["layer"].iloc[int((reached < share).sum())]) for share in (0.025, 0.975)]
            values = {"layer": int(best["layer"]), "auroc": best["auroc"], "above": best["above"], "share": best["peak"]}
            rows.append({"locale": locale, "probe": probe, **values, "first": layers[0], "last": layers[1]})
        return pd.DataFrame(rows)

    def heatmap(self, score: str = "auroc", probe: str = "difference of means") -> "Figure":
        """Draws a heatmap of layers by locales, coloured by a score of a probe, or by the cosine between EN and LOC.

        Args:
            score: ``auroc``, ``accuracy``, ``above`` (AUROC minus the best baseline's AUROC) or ``cosine`` (between EN and LOC).
            probe: the probe whose score is drawn; not used for ``cosine``.

        Raises:
            UnknownNameError: there is no such score, or the table does not have the probe.
        """
        from steerlens.plotting import separability_heatmap

        scores = ("auroc", "accuracy", "above", "cosine")
        if score not in scores:
            raise UnknownNameError("score", score, scores)
        known = tuple(name for name in PROBES if name in set(self.frame["probe"]))
        if probe not in known:
            raise UnknownNameError("probe", probe, known)
        return separability_heatmap(self.frame, score, COSINE if score == "cosine" else probe)

    def plot(self, locale: str = ALL) -> "Figure":
        """Draws the AUROC of every probe by layer for one locale, with its interval and the baselines.

        Args:
            locale: the locale that is drawn, or ``all`` for one probe over all locales.

        Raises:
            UnknownNameError: the table does not have the locale.
        """
        from steerlens.plotting import separability_lines

        return separability_lines(self.frame, self.having("locale", locale))


def separability(
    stack: ResidualStack,
    *,
    labels: Sequence[Any] | None = None,
    groups: Sequence[str] | None = None,
    hold_out: HoldOut = "concept",
    probes: Sequence[str] = ("difference of means", "logistic"),
    embeddings: ResidualStack | None = None,
    vectors_from: ResidualStack | None = None,
    n_folds: int = 5,
    draws: int = 1000,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Separability:
    """Measures how well probes distinguish factual prompts from cultural prompts (or any two classes of prompts), at each layer
    and in each locale.

    Explicit prompts are not used, because an explicit prompt names a country and so reveals its kind. A probe is never tested on
    a concept that it was trained on in another locale. The baselines use the same folds: character n-grams (what the form of the
    text alone reveals), the prompt's length, and the token embeddings. Intervals are percentiles of a bootstrap over concepts.
    The probes are not fitted again for the resamples. Each layer also has the cosine between the EN and LOC vectors from the same
    stack.

    Args:
        stack: residuals of factual and cultural prompts, or of any prompts. The cosine also needs English and explicit prompts.
        labels: a label for each prompt of the stack, 1 or 0. With ``None``, factual prompts have the label 1 and cultural prompts
            the label 0. If each locale has only one label, the labels are measured over all locales together.
        groups: the group of each prompt. All prompts of a group are held out together. ``None`` takes the concept as the group,
            and a text without a concept is a separate group.
        hold_out: the part of the data that a probe is tested on but not trained on. ``concept`` holds out concepts. ``locale``
            holds out each locale in turn, with its concepts. ``topic`` and ``relation`` hold out the topics or relations that the
            items name.
        probes: names from ``PROBES``: ``difference of means``, ``logistic``, ``LDA``.
        embeddings: the result of ``token_embeddings(model, stack.prompts)``, for the baseline of words without context. ``None``
            uses the residual after block 0 for this baseline.
        vectors_from: residuals from which the EN and LOC vectors are computed for their cosine; ``None`` takes ``stack``.
        n_folds: the number of folds. If a kind has fewer concepts, there are fewer folds.
        draws: the number of resamples of concepts.
        seed: the seed of the folds and the resamples.
        device: the device on which the probes are fitted, all layers at once; ``None`` takes a CUDA GPU if there is one, and
            the CPU if not.

    Returns:
        Cross-validated AUROC and accuracy of every probe and baseline, with intervals.

    Raises:
        DataError: a label has fewer than two concepts (or groups, topics, relations), or there is only one locale to hold out.
            This error is also raised if the number of labels or groups differs from the number of prompts.
        UnknownNameError: there is no such probe, or ``hold_out`` is not a known part of the data.
        PromptError: the embeddings lack a prompt of the stack.
    """
    import pandas as pd

    solvers, told = chosen_probes(probes), labelled(stack, labels, groups)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    rows: list[dict[str, Any]] = []
    parts = parts_of(told, hold_out, n_folds, seed)
    with progress(len(parts), "Separability", "locale") as bar:
        for group in parts:
            rows.extend(_measured(group, _scored(group, solvers, embeddings, place), draws, seed))
            bar.update()
    rows.extend(_cosines(vectors_from or stack, tuple(dict.fromkeys(prompt.locale for prompt in told.stack.prompts))))
    return Separability(pd.DataFrame(rows, columns=list(Separability.columns)))


def _scored(
    group: Group, probes: dict[str, Probe], embeddings: ResidualStack | None, device: torch.device
) -> dict[tuple[str, int], Float[Tensor, "fold row"]]:
    """Returns the scores of each probe and layer. The layer of a baseline is -1."""
    found = {(name, -1): scores[0] for name, scores in baseline_scores(group.stack, group.folds, embeddings).items()}
    for name, probe in probes.items():
        scores = scores_by_layer(probe, group.stack.residuals, group.folds, device)
        found |= {(name, layer): own for layer, own in zip(group.stack.layers, scores, strict=True)}
    return found


def _measured(
    group: Group, scored: dict[tuple[str, int], Float[Tensor, "fold row"]], draws: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yields the rows of a table, one per probe and layer, for each part of a group."""
    counts, all_scores = cluster_counts(group.concepts, draws=draws, seed=seed), torch.stack(list(scored.values()))
    for locale, folds in group.parts.items():
        own = torch.tensor([name == locale or locale == ALL or not name for name in group.folds.names])
        scores = all_scores[:, own]
        auroc, drawn = folds.auroc(scores).mean(1), folds.resampled_auroc(scores, counts).numpy()
        held = folds.test.any(0)
        common = {"locale": locale, "n": int(held.sum()), "concepts": len({group.concepts[i] for i in held.nonzero()[:, 0]})}
        columns = {
            "auroc": auroc.numpy(),
            **dict(zip(("low", "high"), percentile_interval(drawn, nan_policy="omit"), strict=True)),
            "accuracy": folds.accuracy(scores).mean(1).numpy(),
            **_above(auroc, drawn, list(scored)),
            "peak": _peaks(drawn, list(scored)),
            "cosine": np.full(len(scored), np.nan),
        }
        for i, (probe, layer) in enumerate(scored):
            yield {**common, "probe": probe, "layer": layer, **{name: values[i] for name, values in columns.items()}}


def _above(auroc: Tensor, drawn: Float[np.ndarray, "draw score"], names: list[tuple[str, int]]) -> dict[str, NDArray]:
    """Returns the difference in AUROC between each probe and the best baseline, with its interval. The interval uses the same
    resamples for the probe and the baseline. Baselines get no value."""
    is_baseline = np.array([layer < 0 for _, layer in names])
    best = int(np.argmax(np.where(is_baseline, auroc.numpy(), -1)))
    low, high = percentile_interval(drawn - drawn[:, [best]], nan_policy="omit")
    values = {"above": (auroc - auroc[best]).numpy(), "above_low": low, "above_high": high}
    return {
        "baseline": np.where(is_baseline, None, names[best][0]),  # type: ignore[call-overload]
        **{name: np.where(is_baseline, np.nan, own) for name, own in values.items()},
    }


def _peaks(drawn: Float[np.ndarray, "draw score"], names: list[tuple[str, int]]) -> NDArray:
    """Returns the share of resamples in which each layer is the best layer of its probe."""
    shares = np.full(len(names), np.nan)
    for probe in {name for name, layer in names if layer >= 0}:
        own = [i for i, (name, _) in enumerate(names) if name == probe]
        best = np.nan_to_num(drawn[:, own], nan=-1).argmax(axis=1)
        shares[own] = np.bincount(best, minlength=len(own)) / len(drawn)
    return shares


def _cosines(stack: ResidualStack, locales: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yields the cosine between the EN and LOC vectors of each locale for which the stack contains the pairs of both vectors."""
    for locale in locales:
        try:
            pairs = english_pairs(stack.prompts, locale), localized_pairs(stack.prompts, locale)
        except PairsError:  # the locale is English, or the stack has no English or explicit prompts
            continue
        en, loc = (stack.mean_difference(side) for side in pairs)
        for layer, cosine in zip(stack.layers, torch.cosine_similarity(en, loc, dim=1).tolist(), strict=True):
            yield {"locale": locale, "layer": layer, "probe": COSINE, "cosine": cosine, "n": sum(map(len, pairs))}
