"""The outcomes of the unsteered model on English items, which some scores use as a reference."""

from collections.abc import Iterable, Sequence

from steerlens.data import ENGLISH, KINDS, Items, Kind
from steerlens.evaluation.finite import finite
from steerlens.evaluation.item_scores import English
from steerlens.evaluation.running import Running
from steerlens.evaluation.tasks import ScoringTask
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.scores import Score
from steerlens.settings import Scoring


def kinds_of(scores: Iterable[Score]) -> list[Kind]:
    """Returns the kinds of items on which the given scores are measured."""
    measured = {kind for score in scores for kind in score.kinds}
    return [kind for kind in KINDS if kind in measured]


def english_outcomes(
    model: LensModel,
    items: Items,
    locales: Sequence[str],
    scores: Iterable[Score],
    scoring: Scoring,
    batch_size: int | None,
    running: Running,
) -> English:
    """Returns the outcomes of the unsteered model on English items, by concept. Only concepts of the locales' items are
    included. The result is empty if none of the scores needs English outcomes."""
    wanted = kinds_of(score for score in scores if score.evidence == "english")
    asked = {item.concept for item in items if item.kind in wanted and item.locale in locales}
    part = items.where(lambda item: item.locale == ENGLISH and item.kind in wanted and item.concept in asked)
    if not len(part):
        return {}
    task = ScoringTask(tuple(part), (), scoring, batch_size)
    with progress(task.size, "English", "item") as bar:
        (result,) = running.results([task], model, bar)
    return {outcome.item.concept: outcome for outcome in finite(task.outcomes(result)[0], model)}
