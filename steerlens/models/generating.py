"""Generates texts after prompts, with Hugging Face's ``generate``."""

from collections.abc import Sequence
from typing import Any, overload

import torch
from torch import Tensor

from steerlens.data import Prompt
from steerlens.errors import PromptError, SettingsError
from steerlens.models.batches import Row, by_prompt
from steerlens.models.capabilities import check_generation
from steerlens.models.halving import in_halves
from steerlens.models.sampling import sampling_settings, seeded
from steerlens.models.stopping import completed, stopper, stops_of
from steerlens.models.tokens import Text, is_chat
from steerlens.progress import progress


class TextGeneration:
    """The part of ``LensModel`` that generates texts."""

    @overload
    def generate(self, prompts: Text, max_new_tokens: int = ..., **settings: Any) -> str: ...
    @overload
    def generate(self, prompts: Sequence[Text], max_new_tokens: int = ..., **settings: Any) -> list[str]: ...

    def generate(
        self,
        prompts: Any,
        max_new_tokens: int = 30,
        *,
        sample: bool = False,
        temperature: float = 1.0,
        n: int = 1,
        seed: int | None = None,
        stop: Sequence[str] | str = (),
        **settings: Any,
    ) -> Any:
        """Returns the text that the model writes after a prompt or a chat, or a list of texts for several prompts. Generation is
        greedy by default.

        Many prompts are run in batches with a number of tokens that suits the device. If a batch does not fit into the memory, it
        runs in halves. A progress bar is shown for more than one batch.

        Args:
            prompts: a text, a ``Prompt`` or a chat (a list of messages). Several prompts are given as a list or tuple.
            max_new_tokens: the largest number of tokens that are generated.
            sample: whether each token is drawn from the model's probabilities. With ``False``, the most probable token is always
                taken.
            temperature: the number above 0 by which the logits are divided before a token is drawn. A temperature of 1 leaves the
                logits unchanged, and a lower temperature makes probable tokens more probable.
            n: the number of texts that are generated for each prompt.
            seed: the seed of the random numbers. With the same seed, the same texts are drawn again. The state of PyTorch's own
                random numbers does not change. The texts also depend on the device and on the other prompts, because these decide
                the batches. With ``None``, PyTorch's own random state is used.
            stop: one or several texts at which a generated text ends. The stop and everything after it are left out of the
                text. Generation for a prompt ends with the token that completes a stop. Generation for a batch ends when the
                texts of all its prompts have ended.
            settings: any other generation settings of Hugging Face, such as ``top_p=0.9``. Settings that are not given have the
                model's own values.

        Returns:
            One text, or a list with one text for each of several prompts, in the order of the prompts. With ``n`` above 1, there
                is a list of ``n`` texts in place of each text.

        Raises:
            PromptError: there is no prompt, or a prompt is empty or neither a text nor a chat.
            SettingsError: a temperature or ``n`` is out of its range, or has a value that needs ``sample=True``, or a stop is
                empty. This error is also raised if a setting was given a second time under its Hugging Face name, or if the
                settings make ``generate`` return other results besides tokens.
            ModelError: the backend does not generate text.
        """
        stops = stops_of(stop)
        given = sampling_settings(sample, temperature, n, stops, settings)
        return _generated(self, prompts, max_new_tokens, seed, stops, given)


@torch.no_grad()
def _generated(
    model: Any, prompts: Any, max_new_tokens: int, seed: int | None, stops: Sequence[str], settings: dict[str, Any]
) -> Any:
    """Returns the texts as ``generate`` returns them. A single prompt gives one text, or a list of texts if several texts were
    requested. Several prompts give a list with one such result for each prompt."""
    check_generation(model)
    many = not isinstance(prompts, str | Prompt) and not is_chat(prompts)
    rows = [model.row(model.tokenizer.ids(prompt)) for prompt in (_several(prompts) if many else [prompts])]
    with seeded(seed, model.device):
        texts = all_written(model, rows, max_new_tokens, stops, settings)
    grouped = [own[0] if len(own) == 1 else own for own in texts]
    return grouped if many else grouped[0]


def all_written(
    model: Any, rows: Sequence[Row], max_new_tokens: int, stops: Sequence[str], settings: dict[str, Any]
) -> list[list[str]]:
    """Returns the texts that a model writes after each row, in the rows' order.

    Args:
        model: the model, steered by the plans that are applied to it.
        rows: the tokens of the prompts.
        max_new_tokens: the largest number of tokens that are generated.
        stops: the texts at which a generated text ends. The stops themselves are left out.
        settings: the result of ``sampling_settings``.
    """
    copies = max(settings["num_return_sequences"], settings.get("num_beams") or 1)
    batches = _batches(model, rows, max_new_tokens, copies)
    texts: list[list[str]] = [[] for _ in rows]

    def run(indices: Sequence[int]) -> list[list[str]]:
        return _written(model, [rows[i] for i in indices], max_new_tokens, stops, settings)

    with progress(len(rows), "Texts", "prompt", show=len(batches) > 1) as bar:
        for batch in batches:
            for indices, written in in_halves(model, run, batch):
                for index, own in zip(indices, written, strict=True):
                    texts[index] = own
                bar.update(len(indices))
    return texts


def _batches(model: Any, rows: Sequence[Row], max_new_tokens: int, copies: int) -> list[list[int]]:
    """Returns the indices of the rows of each batch. A batch has at most the number of tokens that suits the device."""
    return [
        [some[at] for at in batch]
        for some in _together(model, rows)
        for batch in by_prompt([len(rows[i]) for i in some], max_new_tokens, copies, model.token_budget)
    ]


def _together(model: Any, rows: Sequence[Row]) -> list[list[int]]:
    """Returns groups of row indices. The rows of a group can be padded to one length. If padding in front changes the result, a
    group contains only rows of equal length."""
    if len({len(row) for row in rows}) == 1 or model.pads_left:
        return [list(range(len(rows)))]
    by_length: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(index)
    return list(by_length.values())


def _written(
    model: Any, rows: Sequence[Row], max_new_tokens: int, stops: Sequence[str], settings: dict[str, Any]
) -> list[list[str]]:
    """Returns the texts of each row, written in one batch."""
    batch = model.batch(rows, "left")
    width = batch.tokens.shape[1]
    given = {"pad_token_id": model.tokenizer.pad_id, **settings}
    if stops:
        given["stopping_criteria"] = [*given.get("stopping_criteria", ()), stopper(model.tokenizer, stops, width)]
    output = model.backend.generate(batch, max_new_tokens, **given)
    if not isinstance(output, Tensor):
        raise SettingsError(
            "return_dict_in_generate was given to generate: expected only settings that return texts. To get other outputs, "
            "call model.tl.original_model.generate."
        )
    texts = [completed(model.tokenizer, ids[width:].tolist(), stops) for ids in output]
    each = len(texts) // len(rows)
    return [texts[at : at + each] for at in range(0, len(texts), each)]


def _several(prompts: Any) -> Sequence[Any]:
    each = prompts if isinstance(prompts, list | tuple) else [prompts]
    wrong = [type(prompt).__name__ for prompt in each if not isinstance(prompt, str | Prompt) and not is_chat(prompt)]
    if wrong or not each:
        given = ", ".join(wrong) or "nothing"
        raise PromptError(f"{given} was given: expected a text, a Prompt, a chat, or a list of at least one of these.")
    return each
