"""The logit lens for every token of a prompt (nostalgebraist 2020): the next tokens that the model would predict if it ended
after a layer."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from steerlens.errors import SettingsError
from steerlens.models.lens import LensModel
from steerlens.models.tokens import Text
from steerlens.probing.lens import STEERED, UNSTEERED
from steerlens.steering import SteeringPlan
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True, eq=False)
class TokenLens(ResultTable):
    """The most probable next token after every token and block.

    Columns: steering (``unsteered``, ``steered``), layer, position (as in ``model.tokens``), token (of the prompt), top (the
    most probable next token), probability (of ``top``).
    """

    columns: ClassVar[tuple[str, ...]] = ("steering", "layer", "position", "token", "top", "probability")

    def heatmap(self, steering: str = UNSTEERED) -> "Figure":
        """Draws the most probable next token of each layer and token. The colour shows the probability of this token, and a frame
        marks a token that steering changed.

        Args:
            steering: ``unsteered``, or ``steered`` if the lens was read under a plan.

        Raises:
            UnknownNameError: the table does not have this steering.
        """
        from steerlens.plotting import token_lens_heatmap

        return token_lens_heatmap(self.frame, self.having("steering", steering))


@torch.no_grad()
def token_lens(
    model: LensModel,
    prompt: Text,
    plan: SteeringPlan | None = None,
    *,
    layers: Sequence[int] | int | None = None,
    last: int | None = None,
) -> TokenLens:
    """Reads the logit lens of one prompt, token by token, unsteered and under a plan.

    The residual after a block goes through the final norm and the unembedding as if no further block followed. Early layers are
    not trained to be unembedded.

    Args:
        model: the model that is read.
        prompt: a text, a ``Prompt`` or a chat.
        plan: a steering plan. With a plan, every number is given unsteered and steered; ``None`` gives only unsteered numbers.
        layers: block indices; ``None`` means all blocks.
        last: the number of the prompt's last tokens that are read; ``None`` takes all tokens except the tokens in front, such as
            BOS.

    Raises:
        PromptError: the prompt is empty.
        LayerError: the model does not have a layer.
        FingerprintError: the plan belongs to another model.
        ModelError: the architecture computes its logits in a way that cannot be reproduced.
        SettingsError: ``last`` is below 1.
    """
    import pandas as pd

    model.check_unembedding()
    if last is not None and last < 1:
        raise SettingsError(f"last={last} was given: expected at least 1 token, or None for all tokens.")
    tokens, wanted = model.tokens(prompt), model.layers(layers)
    first = max(tokens.n_front, len(tokens) - (last or len(tokens)))
    positions = list(range(first, len(tokens)))
    runs: dict[str, AbstractContextManager[Any]] = {UNSTEERED: nullcontext()}
    if plan is not None:
        runs[STEERED] = plan.applied(model)
    rows = []
    for steering, applied in runs.items():
        with applied:
            read = _read(model, tokens.ids, wanted, positions)
        for layer, own in zip(wanted, read, strict=True):
            for position, (token, probability) in zip(positions, own, strict=True):
                rows.append((steering, layer, position, tokens.texts[position], model.tokenizer.decode([token]), probability))
    return TokenLens(pd.DataFrame(rows, columns=list(TokenLens.columns)))


@torch.no_grad()
def _read(model: LensModel, ids: Sequence[int], layers: Sequence[int], positions: list[int]) -> list[list[tuple[int, float]]]:
    """Returns the most probable next token and its probability, by layer and position."""
    batch, unembedding = model.batch([model.row(ids)]), model.backend.unembedding()
    seen = model.backend.residuals_after(batch, layers, lambda residual: residual[0, positions])
    found = []
    for layer in layers:  # one layer at a time, because the logits of all layers would be large
        best, token = unembedding.logits(model.backend.final_norm(seen[layer][None])[0]).log_softmax(-1).max(-1)
        found.append(list(zip(token.tolist(), best.exp().tolist(), strict=True)))
    return found
