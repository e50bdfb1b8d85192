"""Side effects of steering: fluency, the language of generated text, and repetition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from steerlens.data import Items
from steerlens.evaluation.answering import answered
from steerlens.evaluation.comparing import COLUMNS, MEAN, compared
from steerlens.evaluation.evidence import MAX_NEW_TOKENS
from steerlens.evaluation.given_methods import GivenMethod
from steerlens.evaluation.held_out import Texts
from steerlens.evaluation.item_scores import rows_of_score
from steerlens.evaluation.running import Executor, Running
from steerlens.evaluation.scores import SIDE_EFFECTS
from steerlens.models.lens import LensModel
from steerlens.scores import GivenScore, score_of
from steerlens.settings import Scoring
from steerlens.steering import UNSTEERED
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure


@dataclass(frozen=True, eq=False)
class SideEffects(ResultTable):
    """The side effects of every method in every locale, and their mean over locales. The table has the columns of ``Plane``.

    The default scores are log_perplexity, right_language and repetition. ``log_perplexity`` is measured in nats per token of
    held-out text, and a change of +0.1 means a perplexity that is 1.105 times as high. ``right_language`` is the share of
    generated texts in the locale's language. ``repetition`` is the share of a generated text's four-token sequences that
    occurred earlier in the text.
    """

    columns: ClassVar[tuple[str, ...]] = COLUMNS

    def plot(self, locale: str | None = None) -> "Figure":
        """Draws the side effects of each method: the changes with their intervals, with one panel per score.

        Args:
            locale: one locale; ``None`` takes the mean over all locales.

        Raises:
            UnknownNameError: there is no such locale.
        """
        from steerlens.plotting import forest_figure, forest_rows

        code = locale or MEAN
        rows = self.frame[(self.frame["locale"] == self.having("locale", code)) & (self.frame["method"] != UNSTEERED)]
        where = "all locales" if code == MEAN else code
        words = f"{where}; relative to unsteered; bars: paired 95% intervals over texts and prompts"
        return forest_figure(forest_rows(rows), "Side effects of steering", words, list(dict.fromkeys(rows["score"])))


def side_effects(
    model: LensModel,
    items: Items,
    methods: Mapping[str, GivenMethod],
    *,
    scores: Sequence[GivenScore] = SIDE_EFFECTS,
    texts: Texts | None = None,
    concepts: int | None = 24,
    max_new_tokens: int = MAX_NEW_TOKENS,
    scoring: Scoring | None = None,
    locales: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    executor: Executor | None = None,
    resume: str | Path | Running | None = None,
) -> SideEffects:
    """Measures the perplexity of held-out text, and the language and repetition of generated text, for each method relative to
    the unsteered model.

    Changes are paired by text and by prompt. In held-out text, every token except the first is steered like a generated
    token.

    Args:
        model: the base model on which methods are compared.
        items: the items whose questions the model continues; usually the test part of a split.
        methods: the methods by name (see ``plane``).
        scores: scores of generated text or of held-out text: names, or your own scores.
        texts: held-out text of each locale; ``None`` takes the questions with their right answers.
        concepts: the number of concepts of each kind, which are drawn at random with ``seed``; ``None`` takes all concepts.
        max_new_tokens: the largest number of tokens of a generated text. Decoding is greedy.
        scoring: how the questions are presented; ``None`` takes the defaults.
        locales: the locales in which side effects are measured (see ``plane``).
        seed: the seed of the draw of concepts and of the bootstrap.
        batch_size: the number of prompts in a batch; ``None`` takes 32.
        executor: the executor that runs the tasks (see ``sweep``).
        resume: a folder in which the result of every finished task is kept (see ``sweep``).

    Raises:
        SettingsError: there are no methods, or plans are for different locales.
        UnknownNameError: a locale has no items, or has no texts although texts are given.
        FingerprintError: a plan belongs to another model.
    """
    import pandas as pd

    given = answered(
        model, items.sample(concepts, seed=seed), methods, scores=scores, texts=texts, max_new_tokens=max_new_tokens,
        explicit=False, scoring=scoring, locales=locales, batch_size=batch_size, executor=executor, resume=resume,
    )  # fmt: skip
    names = [score_of(score).name for score in scores]
    table = [row for score in names for row in compared(rows_of_score(given.frame, score), score, "value", seed)]
    order = {UNSTEERED: -1, **{name: at for at, name in enumerate(methods)}}
    rows = pd.DataFrame(table, columns=COLUMNS)
    frame = rows.sort_values("method", key=lambda found: found.map(order), kind="stable", ignore_index=True)
    return SideEffects(frame, {**given.meta, "seed": seed})
