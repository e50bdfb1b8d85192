"""Finds the most probable next tokens of a prompt, unsteered and steered."""

from typing import TYPE_CHECKING

import pandas as pd
import torch

from steerlens.models import LensModel, prompt_of
from steerlens.plotting import choice_bars
from steerlens.steering import SteeringPlan

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

UNSTEERED, STEERED = "unsteered", "steered"


@torch.no_grad()
def next_tokens(model: LensModel, prompt: str, plan: SteeringPlan | None = None, *, top: int = 5) -> pd.DataFrame:
    """Returns the probabilities of the most probable next tokens, unsteered or steered.

    Args:
        model: the model that is read.
        prompt: the text that is continued.
        plan: the plan that steers the model; ``None`` reads only the unsteered model.
        top: the number of most probable tokens that are taken from the unsteered model, and from the steered model.

    Returns:
        Columns steering (``unsteered``, ``steered``), token and probability. The most probable unsteered tokens come first.

    Raises:
        PromptError: the prompt is empty, or longer than the model's context.
        FingerprintError: the plan belongs to another model.
    """
    runs = {UNSTEERED: _probabilities(model, prompt)}
    if plan is not None:
        with plan.applied(model):
            runs[STEERED] = _probabilities(model, prompt)
    best = dict.fromkeys(token for found in runs.values() for token in found.topk(min(top, len(found))).indices.tolist())
    shown = sorted(best, key=lambda token: -runs[UNSTEERED][token])
    rows = [
        (steering, model.tokenizer.decode([token]), float(found[token])) for steering, found in runs.items() for token in shown
    ]
    return pd.DataFrame(rows, columns=["steering", "token", "probability"])


def next_token_bars(frame: pd.DataFrame) -> "Figure":
    """Draws the probability of each token, unsteered and steered. The most probable token has a tick.

    Args:
        frame: the table of ``next_tokens``.
    """
    best = frame.groupby("steering")["probability"].transform("max")
    fig = choice_bars(
        frame.assign(
            **{"concept": "", "locale": "", "answer": False, "owners": "", "choice": frame["token"].map(seen)},
            **{"share": frame["probability"], "predicted": frame["probability"] == best},
            score=frame["probability"].clip(lower=1e-30).map(lambda p: float(torch.tensor(p).log())),
        )
    )
    title, subtitle = "Most probable next tokens", "✓: the most probable one; ␣: a space"
    fig.update_layout(meta={**fig.layout.meta, "title": title, "subtitle": subtitle}, title_text=f"<b>{title}</b>")
    fig.update_xaxes(title_text="probability", range=[0, min(1.12, 1.35 * frame["probability"].max())])
    return fig


def seen(token: str) -> str:
    """Returns a token with visible white space: a space in front is shown as ``␣``, and a line break as ``⏎``."""
    return (f"␣{token[1:]}" if token.startswith(" ") else token).replace("\n", "⏎") or "∅"


def _probabilities(model: LensModel, prompt: str) -> torch.Tensor:
    ids = list(model.row(model.tokenizer.ids(prompt)).prompt)
    with prompt_of(model, len(ids)):
        logits, _ = model.backend.next_logits(ids, None)
    return logits.float().softmax(-1).cpu()
