"""Turns items into a task of lm-evaluation-harness (``lm_eval`` 0.4.13), which can be run together with the tasks of the
harness."""

from functools import partial
from typing import Any

from steerlens.data import Items, locale
from steerlens.errors import SettingsError
from steerlens.harness.running import needed


def lm_eval_task(items: Items, name: str) -> dict[str, Any]:
    """Returns items as a multiple-choice task, for ``lm_eval.simple_evaluate(tasks=[…])``.

    In the task, each choice follows the item's implicit prompt. The metric ``acc`` of the harness compares sums of log
    probabilities, so it gives the same result for each item as ``Scoring(normalisation="none")``. A document of the task has the
    item's concept, locale and kind. With ``lm_eval_answers(…, concept=lambda task, doc: doc["concept"])``, a question in several
    locales counts as one concept.

    Args:
        items: the items. Their locales must either all write a space before an answer, or all write no space.
        name: the name of the task.

    Raises:
        SettingsError: there are no items, or only some of the locales write a space before an answer.
    """
    spaces = {locale(item.locale).space for item in items}
    if len(spaces) != 1:
        raise SettingsError(
            f"{items!r} given for one task: expected only locales that write a space before an answer, or only locales that do "
            "not. Make a separate task for each locale."
        )
    rows = [
        {
            **{"concept": item.concept, "locale": item.locale, "kind": item.kind},
            **{"prompt": item.prompt().text, "choices": list(item.choices), "answer": item.answer},
        }
        for item in items
    ]
    how = {"doc_to_text": "{{prompt}}", "doc_to_choice": "{{choices}}", "doc_to_target": "answer"}
    return {
        **{"task": name, "custom_dataset": partial(_dataset, rows), "test_split": "test", "output_type": "multiple_choice"},
        **{"target_delimiter": spaces.pop(), "metadata": {"version": items.digest()[:12]}, **how},
    }


def _dataset(rows: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
    return {"test": needed("datasets", "datasets").Dataset.from_list(rows)}
