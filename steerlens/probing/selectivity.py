"""Measures how much of a probe's score may come from memorised concepts (Hewitt and Liang, arXiv 1909.03368)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.errors import SettingsError
from steerlens.probing.folds import Folds
from steerlens.probing.holding import ALL, labelled
from steerlens.probing.probes import Probe, chosen_probes, scores_by_layer
from steerlens.progress import progress
from steerlens.statistics import cluster_counts, percentile_interval
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure


@dataclass(frozen=True, eq=False)
class Selectivity(ResultTable):
    """The AUROC of a probe, compared with the AUROC of the same probe on random labels. The probe is trained on the tested
    concepts.

    Columns: locale (held out; ``all``: mean over locales), layer, probe, auroc, control (AUROC of random labels, mean over
    draws), selectivity (auroc minus control) with its 95% interval low and high, draws (of random labels), n (prompts), concepts.
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("locale", "layer", "probe", "auroc", "control", "selectivity", "low", "high", "draws", "n", "concepts"),
    )

    def plot(self, locale: str = ALL) -> "Figure":
        """Draws the selectivity of each probe by layer for one held-out locale, with intervals.

        Args:
            locale: the locale that was held out, or ``all`` for the mean over all held-out locales.

        Raises:
            UnknownNameError: the table does not have the locale.
        """
        from steerlens.plotting import selectivity_lines

        return selectivity_lines(self.frame, self.having("locale", locale))


def selectivity(
    stack: ResidualStack,
    *,
    labels: Sequence[Any] | None = None,
    groups: Sequence[str] | None = None,
    probes: Sequence[str] = ("difference of means", "logistic"),
    labellings: int = 10,
    draws: int = 1000,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Selectivity:
    """Subtracts the AUROC of concepts with random labels from the AUROC of factual against cultural concepts.

    In the control task, a concept has the same random label in every locale. The label has no meaning, so a probe can only
    memorise it (Hewitt and Liang, arXiv 1909.03368). Memorisation can be measured only if the probe was trained on the tested
    concepts. So one locale is held out, and the probe is trained on the same concepts in the other locales. If concepts are held
    out instead, a probe cannot learn their random labels. For that case, use ``permutation_test``. A probe with a high score on
    both tasks has learned the concepts, and not their kind.

    Args:
        stack: residuals of factual and cultural prompts, or of any prompts, in two or more locales.
        labels: a label for each prompt of the stack, 1 or 0. With ``None``, factual prompts have the label 1 and cultural prompts
            the label 0.
        groups: a group name for each prompt; all prompts of a group have the same random label. ``None`` takes the concept as the
            group.
        probes: names from ``PROBES``.
        labellings: the number of random labellings. Each random labelling marks as many concepts as factual as the true labels
            do.
        draws: the number of resamples of concepts, for the intervals.
        seed: the seed of labellings and resamples.
        device: the device on which the probes are fitted; ``None`` takes a CUDA GPU if there is one, and the CPU if not.

    Raises:
        DataError: there is only one locale, or the number of labels or groups differs from the number of prompts.
        SettingsError: ``labellings`` is below 1.
        UnknownNameError: there is no such probe.
    """
    import pandas as pd

    if labellings < 1:
        raise SettingsError(f"{labellings} labellings were given: expected at least 1.")
    solvers, named = chosen_probes(probes), labelled(stack, labels, groups)
    told = named.stack
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    concepts = named.groups_of(told.prompts)
    folds = Folds.sharing(named.labels_of(told.prompts), [prompt.locale for prompt in told.prompts])
    tasks = [folds, *(folds.relabelled(labels) for labels in _by_lot(folds, concepts, labellings, seed))]
    counts, rows = cluster_counts(concepts, draws=draws, seed=seed), []
    with progress(len(solvers), "Selectivity", "probe") as bar:
        for name, probe in solvers.items():
            rows.extend(_measured(told, concepts, name, probe, tasks, counts, place))
            bar.update()
    return Selectivity(pd.DataFrame(rows, columns=list(Selectivity.columns)))


def _by_lot(folds: Folds, concepts: list[str], labellings: int, seed: int) -> list[NDArray]:
    """Returns random labels. All rows of a concept have the same label."""
    _, first, of_row = np.unique(np.asarray(concepts), return_index=True, return_inverse=True)
    generator = np.random.default_rng([seed, 1])
    return [generator.permutation(folds.labels[first])[of_row] for _ in range(labellings)]


def _measured(
    stack: ResidualStack,
    concepts: list[str],
    name: str,
    probe: Probe,
    tasks: list[Folds],
    counts: NDArray,
    device: torch.device,
) -> list[dict[str, Any]]:
    scores = [scores_by_layer(probe, stack.residuals, task, device) for task in tasks]
    rows = []
    for locale in (*tasks[0].names, ALL):
        own = torch.tensor([locale in (held, ALL) for held in tasks[0].names])
        parts = [
            (task if locale == ALL else task.named(locale), score[:, own]) for task, score in zip(tasks, scores, strict=True)
        ]
        held = parts[0][0].test.any(0)
        seen = {"n": int(held.sum()), "concepts": len({concepts[i] for i in held.nonzero()[:, 0]})}
        common = {"locale": locale, "probe": name, "draws": len(tasks) - 1, **seen}
        aurocs, (low, high) = _aurocs(parts), _interval(parts, counts)
        for at, layer in enumerate(stack.layers):
            real, control = float(aurocs[0, at]), float(aurocs[1:, at].mean())
            values = {"auroc": real, "control": control, "selectivity": real - control, "low": low[at], "high": high[at]}
            rows.append({**common, "layer": layer, **values})
    return rows


def _aurocs(parts: list[tuple[Folds, Tensor]]) -> Float[Tensor, "task layer"]:
    return torch.stack([folds.auroc(scores).mean(1) for folds, scores in parts])


def _interval(parts: list[tuple[Folds, Tensor]], counts: NDArray) -> tuple[NDArray, NDArray]:
    """Returns the interval of the selectivity. The same resamples of concepts are used for the true labels and for the random
    labels."""
    real, *controls = (folds.resampled_auroc(scores, counts) for folds, scores in parts)
    return percentile_interval((real - torch.stack(controls).mean(0)).numpy(), nan_policy="omit")
