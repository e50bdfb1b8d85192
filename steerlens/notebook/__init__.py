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

    Without items, the explorer opens with a text box, in which you can write any prompt. The explorer shows the prompt's logit
    lens, the most probable next tokens, and the text that the model writes, unsteered and steered by sliders. With items, the
    explorer also shows a heatmap of a score over layers and locales, the residuals at the chosen layer in two dimensions, and
    margins and choices.

    A click on a cell of the heatmap chooses the layer and the locale for all views. When a slider moves, the predicted margin is
    shown at once (from the derivative of the margin, as in an attribution sweep). The exact scores and texts follow after the
    passes have run. If the slider moves again, the computation for its earlier value stops. The passes run in short slices, on
    the thread of the notebook's cells, while no cell runs. So your code never sees a partly steered model. While a cell of your
    notebook runs, the explorer waits.

    Args:
        model: the model that is explored and steered.
        items: factual and cultural items in English and other locales, or a split of items. Items that are not split yet are
            split by concept. Vectors are computed from the train part, and the items that are shown come from the dev part.
            Without items, only prompts are shown.
        vectors: a vector set, or vectors and other interventions. ``None`` computes the EN and LOC vectors of every locale of the
            items. If there are no items, ``None`` means no vectors.
        prompts: the texts that are offered first. You can type other texts into the page.
        train_concepts: the number of train concepts of each kind from which vectors are computed; ``None`` takes all train
            concepts.
        concepts: the number of dev concepts of each kind that are shown; ``None`` takes all dev concepts.
        tokens: the tokens that are steered at the start.
        limit: the slider's largest strength, as a factor on the vector.
        max_new_tokens: the largest number of tokens of a generated text. A text ends earlier if the model begins another
            question.
        seed: the seed of the split and of all random samples.
        state: the result of ``explorer.state()``. The new explorer starts with the choices in this state.

    Returns:
        An explorer. Write the explorer in the last line of a cell to show it. ``explorer.plan`` is the plan that you set in the
            explorer. ``explorer.as_code(view)`` returns the code of a view, and ``explorer.to_frame(view)`` returns its data. The
            views are ``steering``, ``tokens`` and ``vector`` and, with items, also ``layers`` and ``points``.

    Raises:
        SteerlensError: ipywidgets or anywidget are not installed.
        SettingsError: an argument has a wrong type, or the state does not fit this explorer. This error is also raised if there
            is no locale besides English, or if there are no vectors. Two vectors with the same name and locale, or vectors that
            share no layer, raise this error too.
        UnknownNameError: a vector's locale has no items.
        FingerprintError: a vector belongs to another model.
        PairsError: the items lack English questions or explicit questions.
        DataError: there are fewer than two dev concepts of a kind.
    """
    try:
        import anywidget  # noqa: F401 (plotly's FigureWidget needs it)

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
