"""Generates texts with vLLM, and returns their tokens in the form of Hugging Face's ``generate``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from steerlens.errors import SettingsError
from steerlens.models.batches import Row, TokenBatch

if TYPE_CHECKING:
    from steerlens.vllm.requests import Requests

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
"""The names of generation settings that are the same in Hugging Face and vLLM."""
_OURS = ("do_sample", "num_return_sequences", "pad_token_id", "stopping_criteria")
"""The names of the settings that ``LensModel.generate`` sets. The stop texts are not sent to vLLM. ``LensModel.generate``
therefore cuts each text at its first stop text."""


def sampling(llm: Any, n_rows: int, max_new_tokens: int, settings: Mapping[str, Any]) -> list[list[Any]]:
    """Returns the ``SamplingParams`` of vLLM for each text of each row. PyTorch draws a separate seed for each text.

    Args:
        llm: the ``vllm.LLM`` object. Its default settings come from the model's ``generation_config.json``.
        n_rows: the number of prompts.
        max_new_tokens: the largest number of tokens of a text.
        settings: the generation settings of Hugging Face, including ``do_sample`` and ``num_return_sequences``.

    Raises:
        SettingsError: vLLM does not support one of the settings.
    """
    from vllm import SamplingParams

    unknown = sorted(name for name, value in settings.items() if name not in (*_SAMPLING, *_OURS) and value is not None)
    if unknown:
        raise SettingsError(
            f"{', '.join(unknown)} given to a model that vLLM runs: expected only sample, temperature, n, seed, stop, "
            f"{', '.join(_SAMPLING[1:])}. Remove these arguments, or load the model with steerlens.load."
        )
    draws, default = settings["do_sample"], llm.get_default_sampling_params()
    given = {name: getattr(default, name) if settings.get(name) is None else settings[name] for name in _SAMPLING}
    given |= {"max_tokens": max_new_tokens} | ({} if draws else {"temperature": 0.0})

    def one() -> Any:
        return SamplingParams(**given, seed=int(torch.randint(1 << 31, ())) if draws else None)

    return [[one() for _ in range(settings["num_return_sequences"])] for _ in range(n_rows)]


def written(requests: "Requests", batch: TokenBatch, params: Sequence[Sequence[Any]], pad_id: int) -> Int[Tensor, "text pos"]:
    """Returns the tokens of prompts and generated texts, with the same padding as in Hugging Face's ``generate``.

    Args:
        requests: the object that sends requests to vLLM.
        batch: the prompts, padded in front.
        params: the ``SamplingParams`` of each text of each row.
        pad_id: the id of the token that pads shorter texts at their end.
    """
    each = [(line, own) for line, several in enumerate(params) for own in several]
    rows = [Row(batch.rows[line].prompt, (), batch.rows[line].front) for line, _ in each]
    texts = [list(output.outputs[0].token_ids) for output in requests.run(rows, params=[own for _, own in each])]
    longest = max(map(len, texts))
    ends = torch.tensor([[*text, *[pad_id] * (longest - len(text))] for text in texts], dtype=torch.long)
    return torch.cat([batch.tokens[[line for line, _ in each]], ends.view(len(texts), longest)], dim=1)
