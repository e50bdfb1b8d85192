"""The generated texts of a model. Some scores need generated texts in addition to the log probabilities of choices."""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from steerlens.errors import SettingsError
from steerlens.evaluation.outcomes import Writing
from steerlens.evaluation.running import Running
from steerlens.evaluation.text_tasks import WritingTask
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.scores import Score

Name = TypeVar("Name", bound=Hashable)
MAX_NEW_TOKENS = 32
"""The default for the largest number of tokens of a generated text."""


def written_by(tasks: Mapping[Name, WritingTask], model: LensModel, running: Running) -> dict[Name, list[Writing]]:
    """Returns the texts that a model generates in each task, by the task's name, in the order of the task's items."""
    with progress(sum(task.size for task in tasks.values()), "Texts", "item", show=bool(tasks)) as bar:
        results = running.results(list(tasks.values()), model, bar)
        return {name: task.writings(result) for (name, task), result in zip(tasks.items(), results, strict=True)}


def are_written(scores: Iterable[Score]) -> bool:
    """Returns whether at least one of the scores is a score of generated text."""
    return any(score.evidence == "writing" for score in scores)


def check_of_items(scores: Iterable[Score], whose: str) -> None:
    """Raises an error if one of the scores is a score of held-out text, which cannot be measured on items.

    Args:
        scores: the requested scores.
        whose: a description of the measurement, for example ``a sweep``.

    Raises:
        SettingsError: there is a score of held-out text.
    """
    bad = [score.name for score in scores if score.evidence == "reading"]
    if bad:
        raise SettingsError(
            f"{whose} needs scores of items, but {bad} are scores of held-out text. To measure scores of held-out text, "
            "use answered, plane or side_effects."
        )
