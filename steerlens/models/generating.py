"""What a model writes after prompts, with Hugging Face's ``generate``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steerlens.data import Prompt
from steerlens.errors import PromptError, SettingsError
from steerlens.models.batches import Row
from steerlens.models.capabilities import check_generation
from steerlens.models.tokens import is_chat

if TYPE_CHECKING:
    from steerlens.models.lens import LensModel


@torch.no_grad()
def generated(model: "LensModel", prompts: Any, max_new_tokens: int, settings: dict[str, Any]) -> Any:
    """The work of ``LensModel.generate``, which says what the arguments are and what is raised."""
    check_generation(model)
    many = not isinstance(prompts, str | Prompt) and not is_chat(prompts)
    rows = [model.row(model.tokenizer.ids(prompt)) for prompt in (_several(prompts) if many else [prompts])]
    texts: list[list[str]] = [[] for _ in rows]
    for some in _together(model, rows):
        for index, own in zip(some, _written(model, [rows[i] for i in some], max_new_tokens, settings), strict=True):
            texts[index] = own
    grouped = [own[0] if len(own) == 1 else own for own in texts]
    return grouped if many else grouped[0]


def _together(model: "LensModel", rows: Sequence[Row]) -> list[list[int]]:
    """Indices of rows that are generated from in one batch: all, or those of one length where padding in front changes them."""
    if len({len(row) for row in rows}) == 1 or model.pads_left:
        return [list(range(len(rows)))]
    by_length: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(index)
    return list(by_length.values())


def _written(model: "LensModel", rows: Sequence[Row], max_new_tokens: int, settings: dict[str, Any]) -> list[list[str]]:
    """The texts of each row, one or as many as ``num_return_sequences`` says."""
    batch = model.batch(rows, "left")
    given = {"pad_token_id": model.tokenizer.pad_id, "do_sample": False, **settings}
    output = model.backend.generate(batch, max_new_tokens, **given)
    if not isinstance(output, Tensor):
        raise SettingsError(
            "generate was asked for more than tokens (return_dict_in_generate): expected settings that give texts. Call "
            "model.tl.original_model.generate for the rest."
        )
    texts = [model.tokenizer.completion(ids[batch.tokens.shape[1] :].tolist()) for ids in output]
    each = len(texts) // len(rows)
    return [texts[at : at + each] for at in range(0, len(texts), each)]


def _several(prompts: Any) -> Sequence[Any]:
    each = prompts if isinstance(prompts, list | tuple) else [prompts]
    wrong = [type(prompt).__name__ for prompt in each if not isinstance(prompt, str | Prompt) and not is_chat(prompt)]
    if wrong or not each:
        given = ", ".join(wrong) or "nothing"
        raise PromptError(f"{given} given: expected a text, a Prompt, a chat, or a list of at least one of these.")
    return each
