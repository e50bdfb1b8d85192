"""Texts that a model writes after prompts, with Hugging Face's ``generate``."""

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
    """The part of ``LensModel`` that writes texts."""

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
        """Returns what the model writes after a prompt or a chat, or after each of several; greedy by default.

        Many prompts are run in batches with a number of tokens that suits the device. If a batch does not fit the memory, it
        runs in halves. A progress bar is shown for more than one batch.

        Args:
            prompts: a text, a ``Prompt`` or a chat (a list of messages), or a list or tuple of these.
            max_new_tokens: the number of tokens after which generation stops if the model has not stopped.
            sample: whether each token is drawn from the model's probabilities. Otherwise the most probable token is taken.
            temperature: the number above 0 by which the logits are divided before a token is drawn. 1 leaves them unchanged,
                and a lower number makes probable tokens more probable.
            n: the number of texts for each prompt.
            seed: the seed of the random numbers, so that the same texts are drawn again. The state of PyTorch's own random
                numbers does not change. The texts also depend on the device and on the prompts that are given together, since
                these decide the batches. With ``None``, the numbers continue from PyTorch's own.
            stop: one or several texts at which a generated text ends. The stop and everything after it are left out of the
                text. Generation of a prompt ends with the token that completes a stop, and generation of a batch ends with its
                last prompt.
            settings: any other generation settings of Hugging Face, such as ``top_p=0.9``. Settings that are not given have the
                model's own values.

        Returns:
            A text, or one for each of several prompts, in their order. With ``n`` above 1, a list of texts in place of each.

        Raises:
            PromptError: there is no prompt, a prompt is empty, or something is neither a text nor a chat.
            SettingsError: a temperature or ``n`` is out of its range or needs ``sample``; a stop is empty; a setting was also
                given under Hugging Face's name for it; the settings make ``generate`` return more than tokens.
            ModelError: the backend does not generate.
        """
        stops = stops_of(stop)
        given = sampling_settings(sample, temperature, n, stops, settings)
        return _generated(self, prompts, max_new_tokens, seed, stops, given)


@torch.no_grad()
def _generated(
    model: Any, prompts: Any, max_new_tokens: int, seed: int | None, stops: Sequence[str], settings: dict[str, Any]
) -> Any:
    """The result in the form of the prompts: one text, several texts of one prompt, or a list of these."""
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
        max_new_tokens: the number of tokens after which generation stops if the model has not stopped.
        stops: the texts at which a text ends; they are left out.
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
    """The indices of the rows of each batch. A batch has at most the number of tokens that suits the device."""
    return [
        [some[at] for at in batch]
        for some in _together(model, rows)
        for batch in by_prompt([len(rows[i]) for i in some], max_new_tokens, copies, model.token_budget)
    ]


def _together(model: Any, rows: Sequence[Row]) -> list[list[int]]:
    """Groups of row indices that can be padded to one length: all rows, or rows of equal length if padding in front changes the
    result."""
    if len({len(row) for row in rows}) == 1 or model.pads_left:
        return [list(range(len(rows)))]
    by_length: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(index)
    return list(by_length.values())


def _written(
    model: Any, rows: Sequence[Row], max_new_tokens: int, stops: Sequence[str], settings: dict[str, Any]
) -> list[list[str]]:
    """The texts of each row, written in one batch."""
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
        raise PromptError(f"{given} given: expected a text, a Prompt, a chat, or a list of at least one of these.")
    return each
