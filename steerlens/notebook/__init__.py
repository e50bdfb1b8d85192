"""The explorer: an interactive layer probe in a notebook cell."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from steerlens.data import Items, Prompt, Split
from steerlens.errors import SteerlensError
from steerlens.models import LensModel
from steerlens.steering import Intervention, SteeredTokens, VectorSet

if TYPE_CHECKING:
    from steerlens.notebook.explorer import Explorer

__all__ = ["explore"]


def explore(
    model: LensModel,
    items: Items | Split | None = None,
    vectors: VectorSet | Intervention | Iterable[Intervention] | None = None,
    *,
    prompts: str | Prompt | Sequence[str | Prompt] | None = None,
    train_concepts: int | None = 60,
    concepts: int | None = 12,
    tokens: SteeredTokens = "last_onward",
    limit: float = 4.0,
    max_new_tokens: int = 20,
    seed: int = 0,
    state: Mapping[str, Any] | None = None,
) -> "Explorer":
    """Returns an interactive layer probe for a notebook: linked views of one model, on one screen.

    With a model alone, or with ``prompts`` and any vectors, it opens with a box for any prompt: its logit lens, the most
    probable next tokens, and what the model writes, unsteered and steered by sliders. With items it also shows a heatmap of a
    score over layers and locales, that layer's residuals in two dimensions, and margins and choices.

    A click on a cell of the heatmap chooses layer and locale for all views. A move of a slider shows the predicted margin at
    once (the derivative of the margin, as in an attribution sweep) and the exact scores and texts as soon as they were run; a
    newer move ends an older one. All passes run between the notebook's cells, in slices, on the cells' own thread: code of
    yours never meets a model half steered, and while a cell of yours runs the page waits.

    Args:
        model: the model that is looked into and steered.
        items: factual and cultural items in English and other locales; split by concept here, or given as a split. Vectors
            are taken from train, what is looked at comes from dev. Without items there are prompts alone.
        vectors: a vector set, or vectors and other interventions to offer. For ``None`` EN and LOC of every locale of the
            items; none without items.
        prompts: texts to begin with; others can be written into the page.
        train_concepts: concepts of each kind that vectors are taken from; all of train for ``None``.
        concepts: dev concepts of each kind that are looked at; all of dev for ``None``.
        tokens: which tokens are steered, to begin with.
        limit: the slider's largest strength, times the vector.
        max_new_tokens: length of the texts, which end before the model asks another question.
        seed: of the split and the draws.
        state: what ``explorer.state()`` returned, to go on from there.

    Returns:
        An explorer. Show it as a cell's last line. ``explorer.plan`` is the plan made by hand; ``explorer.as_code(view)`` and
        ``explorer.to_frame(view)`` give the code and the data of the views ``steering``, ``tokens`` and ``vector``, and with
        items ``layers`` and ``points``.

    Raises:
        SteerlensError: ipywidgets or anywidget are not installed.
        SettingsError: something of another type; no locale besides English; no vectors, two of one name and locale, or none
            with a layer in common; a state of something else.
        UnknownNameError: a vector of a locale without items.
        FingerprintError: a vector of another model.
        PairsError: the items lack English, or explicit questions.
        DataError: fewer than two dev concepts of a kind.
    """
    try:
        import anywidget  # noqa: F401 (plotly's FigureWidget needs it, and says so late)

        from steerlens.notebook.explorer import Explorer
    except ModuleNotFoundError as error:
        raise SteerlensError(
            f"the explorer needs the package {error.name}, which is not installed. Install it with: pip install "
            "'steerlens[notebook]'. Then restart the kernel."
        ) from error
    from steerlens.notebook.given import checked_items, checked_model, checked_prompts, checked_vectors
    from steerlens.notebook.specimen import free_specimen, item_specimen

    model, own, texts, given = checked_model(model), checked_items(items), checked_prompts(prompts), checked_vectors(vectors)
    counts: dict[str, Any] = {"train_concepts": train_concepts, "concepts": concepts, "seed": seed}
    made = (
        free_specimen(model, texts, given, tokens=tokens)
        if own is None
        else item_specimen(model, own, given, texts, tokens=tokens, **counts)
    )
    return Explorer(made, limit=limit, max_new_tokens=max_new_tokens, state=state)
