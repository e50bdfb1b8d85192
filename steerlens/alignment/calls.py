"""One function for each method of alignment."""

from collections.abc import Sequence
from pathlib import Path

from steerlens.alignment.aligned import Aligned
from steerlens.alignment.clo import CrossLingualOptimization
from steerlens.alignment.continued import ContinuedTraining
from steerlens.alignment.keeping import Keep
from steerlens.alignment.midalign import MidAlign
from steerlens.alignment.training import train
from steerlens.alignment.tuning import MultilingualTuning
from steerlens.data import Items
from steerlens.data.parallel import ParallelCorpus
from steerlens.models.lens import LensModel
from steerlens.numeric import layer_of
from steerlens.training import TrainingSettings

RESULTS = Path("results") / "alignment"
"""The default folder for adapters."""


def midalign(
    model: LensModel,
    corpus: ParallelCorpus,
    locales: Sequence[str] | None = None,
    *,
    layer: int | None = None,
    temperature: float = 0.1,
    centred: bool = True,
    out: str | Path = RESULTS / "midalign",
    settings: TrainingSettings | None = None,
    keep: Keep | None = None,
    held_out: Items | None = None,
) -> Aligned:
    """Aligns locales with English by MidAlign (Liu and Niehues, arXiv 2502.14830).

    Training steps alternate between two losses: the contrastive loss of middle-layer residuals of parallel texts, and the
    language-model loss. The docstring of ``contrastive_loss`` gives the equation.

    Args:
        model: the base model, which is not changed.
        corpus: parallel texts, such as ``sl.data.parallel.facts(split.train)``.
        locales: the locales that are aligned; ``None`` takes all locales of the corpus except English.
        layer: the index of the block after which residuals are aligned; ``None`` takes the middle block.
        temperature: the number by which similarities are divided in the contrastive loss.
        centred: whether the mean residual of the batch is subtracted before similarities are computed. Without the subtraction,
            all similarities are near 1 in many models.
        out: the folder for the adapter, its checkpoints, its card and its log. If a run was interrupted, the
            same call continues this run.
        settings: the settings of the training. ``None`` uses the defaults.
        keep: the component of the residual stream that training should leave unchanged, as ``Keep(vectors, layer, items)``.
            ``None`` protects no component.
        held_out: items whose answers the texts of the corpus must not reveal. ``None`` skips this check.

    Raises:
        LayerError: the model does not have the layer.
        DataError, SettingsError, ModelError, FileError: ``train`` raises one of these errors.
    """
    middle = model.n_layers // 2 if layer is None else layer_of(layer, model.layers(), f"model {model.name}")
    objective = MidAlign(middle, temperature, centred)
    return train(model, corpus, objective, locales, out=out, settings=settings, keep=keep, held_out=held_out)


def clo(
    model: LensModel,
    corpus: ParallelCorpus,
    locales: Sequence[str] | None = None,
    *,
    beta: float = 0.1,
    weight: float = 1.0,
    out: str | Path = RESULTS / "clo",
    settings: TrainingSettings | None = None,
    keep: Keep | None = None,
    held_out: Items | None = None,
) -> Aligned:
    """Aligns locales with English by CLO (Lee et al., arXiv 2505.14297).

    The model learns to prefer the answer in the language of the question over the same answer in the other language. The
    docstring of ``preference_loss`` gives the equation.

    Args:
        model: the base model, which is not changed.
        corpus: parallel questions with answers, such as ``sl.data.parallel.facts(split.train)``.
        locales: the locales that are aligned; ``None`` takes all locales of the corpus except English.
        beta: a number that limits how far the model moves away from the model before training. A larger number allows smaller
            changes.
        weight: the factor by which the negative log likelihood of the locale's answers is multiplied in the loss.
        out: the folder for the adapter, its checkpoints, its card and its log. If a run was interrupted, the
            same call continues this run.
        settings: the settings of the training. ``None`` uses the defaults.
        keep: the component of the residual stream that training should leave unchanged. ``None`` protects no component.
        held_out: items whose answers the texts of the corpus must not reveal. ``None`` skips this check.

    Raises:
        DataError, SettingsError, ModelError, FileError: ``train`` raises one of these errors.
    """
    objective = CrossLingualOptimization(beta, weight)
    return train(model, corpus, objective, locales, out=out, settings=settings, keep=keep, held_out=held_out)


def tune(
    model: LensModel,
    corpus: ParallelCorpus,
    locales: Sequence[str] | None = None,
    *,
    out: str | Path = RESULTS / "tuning",
    settings: TrainingSettings | None = None,
    keep: Keep | None = None,
    held_out: Items | None = None,
) -> Aligned:
    """Tunes a model on questions that are answered in every language. The loss is the negative log likelihood of the answers.

    Args:
        model: the base model, which is not changed.
        corpus: parallel questions with answers. Questions that exist in only one locale are also used.
        locales: the locales whose questions are learned, in addition to English. ``None`` takes all locales of the corpus.
        out: the folder for the adapter, its checkpoints, its card and its log. If a run was interrupted, the
            same call continues this run.
        settings: the settings of the training. ``None`` uses the defaults.
        keep: the component of the residual stream that training should leave unchanged. ``None`` protects no component.
        held_out: items whose answers the texts of the corpus must not reveal. ``None`` skips this check.

    Raises:
        DataError, SettingsError, ModelError, FileError: ``train`` raises one of these errors.
    """
    return train(model, corpus, MultilingualTuning(), locales, out=out, settings=settings, keep=keep, held_out=held_out)


def continued(
    model: LensModel,
    corpus: ParallelCorpus,
    locales: Sequence[str] | None = None,
    *,
    out: str | Path = RESULTS / "continued",
    settings: TrainingSettings | None = None,
    held_out: Items | None = None,
) -> Aligned:
    """Trains a model on complete texts, each in only one language. This training is the control for alignment methods: it uses
    the same kind of texts, but does not align languages.

    Args:
        model: the base model, which is not changed.
        corpus: parallel texts. Only one language of each text is kept.
        locales: the locales whose texts are kept in addition to English. ``None`` takes all locales of the corpus.
        out: the folder for the adapter, its checkpoints, its card and its log. If a run was interrupted, the
            same call continues this run.
        settings: the settings of the training. ``None`` uses the defaults.
        held_out: items whose answers the texts of the corpus must not reveal. ``None`` skips this check.

    Raises:
        DataError, SettingsError, ModelError, FileError: ``train`` raises one of these errors.
    """
    return train(model, corpus, ContinuedTraining(), locales, out=out, settings=settings, held_out=held_out)
