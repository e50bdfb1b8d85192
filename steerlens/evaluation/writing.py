"""Generates texts after the prompts of items."""

from collections.abc import Callable, Sequence

from steerlens.data import Items
from steerlens.evaluation.outcomes import Writing
from steerlens.evaluation.questions import expected_text, prompt_of
from steerlens.models.lens import LensModel
from steerlens.settings import Scoring
from steerlens.steering import SteeringPlan


def written(
    model: LensModel,
    items: Items,
    plan: SteeringPlan | None,
    max_new_tokens: int,
    batch_size: int | None = None,
    scoring: Scoring | None = None,
    stop: Sequence[str] = (),
) -> list[Writing]:
    """Returns the text that a model generates after each item's prompt, with greedy decoding.

    Args:
        model: the model that generates the texts.
        items: the items whose prompts the model continues.
        plan: the plan that steers the model; ``None`` means no steering.
        max_new_tokens: the largest number of tokens of a generated text.
        batch_size: the number of prompts in a batch; ``None`` takes a number that suits the device.
        scoring: how the items are presented (form, chat, letters, examples); ``None`` takes the defaults.
        stop: texts at which a generated text ends. The stop text itself is left out.
    """
    how = scoring or Scoring()
    prompts = [prompt_of(item, how) for item in items]
    size = batch_size or len(prompts) or 1

    def write() -> list[str]:
        return [
            text
            for at in range(0, len(prompts), size)
            for text in model.generate(prompts[at : at + size], max_new_tokens, stop=stop)
        ]

    texts = write() if plan is None else _under(plan, model, write)
    ids = [tuple(model.tokenizer.hf(text, add_special_tokens=False)["input_ids"]) for text in texts]
    return [Writing(item, text, own, expected_text(item, how)) for item, text, own in zip(items, texts, ids, strict=True)]


def _under(plan: SteeringPlan, model: LensModel, write: Callable[[], list[str]]) -> list[str]:
    with plan.applied(model):
        return write()
