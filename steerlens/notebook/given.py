"""Checks the arguments of ``sl.explore``, and finds the names of the user's variables, so that the explorer can return code that
runs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steerlens.data import Items, Prompt, Split
from steerlens.errors import SettingsError
from steerlens.models import LensModel
from steerlens.steering import Intervention, SteeringPlan, VectorSet

Names = Mapping[str, str]
"""The names of variables in the user's code, by the name of the argument of ``sl.explore``."""


@dataclass(frozen=True)
class Code:
    """The first lines of the code that makes a view."""

    names: Names
    split: str = ""
    """The code that makes ``split``."""
    dev: str = ""
    """The code that makes ``dev`` from ``split``."""
    vectors: str = ""
    """The code that makes ``vectors``. If the user gave no vectors, the code makes the vectors from ``split``. The code is empty
    if there are no vectors."""

    def begin(self, *, vectors: bool = False, items: bool = False) -> str:
        """Returns the code that comes before the code of the view.

        Args:
            vectors: whether the view needs ``vectors``.
            items: whether the view needs ``dev``.
        """
        taken = vectors and "split" in self.vectors
        used = ["model", *(["items"] if items or taken else []), *(["vectors"] if vectors else [])]
        given = ", ".join(dict.fromkeys(self.names[name] for name in used if name in self.names))
        model = "" if self.names["model"] == "model" else f"model = {self.names['model']}\n"
        parts = [model, self.split if items or taken else "", self.dev if items else "", self.vectors if vectors else ""]
        return f"# {given}: what sl.explore was given\nimport steerlens as sl\n\n{''.join(parts)}"


def names_of(**given: Any) -> Names:
    """Returns a name for each argument: the name of the notebook's variable that holds the argument's object, or a list of such
    names. If no variable holds the object, the argument's own name is returned.

    Args:
        given: the object of each argument; ``None`` means that the argument was not given.
    """
    known = {id(value): name for name, value in vars(sys.modules["__main__"]).items() if not name.startswith("_")}
    return {name: _name(value, known) or _argument(name, value) for name, value in given.items() if value is not None}


def _name(value: Any, known: Mapping[int, str]) -> str | None:
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, list | tuple) and value and all(id(each) in known for each in value):
        return f"[{', '.join(known[id(each)] for each in value)}]"
    return None


def _argument(name: str, value: Any) -> str:
    return "split" if isinstance(value, Split) else name


def data_code(names: Names, items: Items | Split, concepts: int | None, seed: int, locales: tuple[str, ...]) -> tuple[str, str]:
    """Returns the code that makes ``split`` and the code that makes ``dev``, in the same way as ``item_specimen``."""
    name = names["items"]
    same = f"split = {name}\n" if name != "split" else ""
    dev = f"dev = split.dev.sample({concepts}, seed={seed}).where(lambda item: item.locale in {locales!r})\n"
    return same if isinstance(items, Split) else f"split = {name}.split(seed={seed})\n", dev


def vectors_code(
    names: Names, given: object, train_concepts: int | None = None, seed: int = 0, locales: Sequence[str] = ()
) -> str:
    """Returns the code that makes ``vectors``. The code is empty if no vectors are used."""
    if given is None:
        taken = (
            f"vectors = sl.steering.take(model, split.train.sample({train_concepts}, seed={seed}), locales={list(locales)!r})\n"
        )
        return taken if locales else ""
    name = names["vectors"]
    if isinstance(given, VectorSet):
        return f"vectors = {name}\n" if name != "vectors" else ""
    return f"vectors = sl.steering.vector_set({name})\n"


def checked_model(model: object) -> LensModel:
    """Returns a model that can be explored.

    Raises:
        SettingsError: the object is not a model that can be explored.
    """
    if isinstance(model, LensModel):
        return model
    advice = f"load it: sl.explore(sl.load({model!r}))" if isinstance(model, str) else "make a LensModel with sl.load(…)"
    raise SettingsError(f"{_kind(model)} was given as the model: expected a LensModel. {advice[0].upper()}{advice[1:]}.")


def checked_items(items: object) -> Items | Split | None:
    """Returns items, a split of items, or ``None``.

    Raises:
        SettingsError: the object is something else, such as texts.
    """
    if items is None or isinstance(items, Items | Split):
        return items
    each = [items] if isinstance(items, str | Prompt) else list(items) if isinstance(items, list | tuple) else []
    texts = bool(each) and all(isinstance(one, str | Prompt) for one in each)
    advice = "Give texts with the argument prompts=[…]" if texts else "Read items with sl.data.load_items(…) or sl.data.atlas(…)"
    raise SettingsError(f"{_kind(items)} was given as items: expected Items or a Split. {advice}.")


def checked_prompts(prompts: object) -> tuple[str, ...]:
    """Returns prompts as texts.

    Raises:
        SettingsError: a prompt is not a text, or is empty.
    """
    if prompts is None:
        return ()
    advice = 'Give texts, for example prompts=["The capital of France is"]'
    if not isinstance(prompts, str | Prompt | Sequence):
        raise SettingsError(f"{_kind(prompts)} was given as prompts: expected a list of texts. {advice}.")
    each = [prompts] if isinstance(prompts, str | Prompt) else list(prompts)
    for one in each:
        if not isinstance(one, str | Prompt):
            raise SettingsError(f"{_kind(one)} was given as a prompt: expected a text or a Prompt. {advice}.")
    texts = tuple(one.text if isinstance(one, Prompt) else one for one in each)
    if not all(text.strip() for text in texts):
        raise SettingsError(f"an empty prompt was given: expected texts of at least one letter. {advice}.")
    return texts


def checked_vectors(vectors: object) -> Any:
    """Returns vectors that can be offered: a vector set, one vector, or a list of vectors.

    Raises:
        SettingsError: the object is something else, such as a plan or tensors.
    """
    if vectors is None or isinstance(vectors, VectorSet | Intervention):
        return vectors
    wrong = vectors if isinstance(vectors, str | Mapping | SteeringPlan) or not isinstance(vectors, Iterable) else None
    each = [] if wrong is not None else list(vectors)  # type: ignore[call-overload]
    wrong = next((one for one in each if not isinstance(one, Intervention)), None) if wrong is None else wrong
    if wrong is not None:
        raise SettingsError(
            f"{_kind(wrong)} was given as vectors: expected a vector set, or steering vectors. Take vectors with "
            "sl.steering.take(model, split.train), or make a vector from a tensor with sl.steering.SteeringVector(…)."
        )
    return each if not isinstance(vectors, list) else vectors


def _kind(value: object) -> str:
    return f"{type(value).__name__} {value!r:.40}" if isinstance(value, str | int | float) else type(value).__name__
