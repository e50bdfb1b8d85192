"""Loaders of public data sets, and a function that finds a loader by the name of its data set."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from steerlens.data.items import Items
from steerlens.data.public.blend import blend
from steerlens.data.public.blend_choices import blend_choices
from steerlens.data.public.bmlama import bmlama
from steerlens.data.public.cultural_bench import cultural_bench
from steerlens.data.public.exams import global_mmlu, include, mmlu_prox, mmmlu
from steerlens.data.public.hub import REVISIONS
from steerlens.data.public.mapping import from_hub
from steerlens.data.public.mkqa import mkqa
from steerlens.errors import SettingsError, UnknownNameError

__all__ = [
    "DATA_SETS",
    "REVISIONS",
    "blend",
    "blend_choices",
    "bmlama",
    "cultural_bench",
    "from_hub",
    "global_mmlu",
    "include",
    "mkqa",
    "mmlu_prox",
    "mmmlu",
    "public",
]

DATA_SETS: dict[str, Callable[..., Items]] = {
    "global-mmlu": global_mmlu,
    "global-mmlu-lite": partial(global_mmlu, lite=True),
    "blend": blend,
    "blend-choices": blend_choices,
    "bmlama": bmlama,
    "mkqa": mkqa,
    "include": include,
    "cultural-bench": cultural_bench,
    "cultural-bench-hard": partial(cultural_bench, level="hard"),
    "mmlu-prox": mmlu_prox,
    "mmlu-prox-lite": partial(mmlu_prox, lite=True),
    "mmmlu": mmmlu,
}
"""The loader of each data set, by name."""


def public(name: str, locales: Iterable[str], **settings: Any) -> Items:
    """Returns the items of a public data set by its name. Example: ``public("global-mmlu", ["es-ES"], path="folder")``.

    Args:
        name: a name in ``DATA_SETS``.
        locales: the codes of the wanted locales.
        settings: other arguments of the data set's loader, such as ``path`` and ``revision``.

    Raises:
        UnknownNameError: there is no data set with this name. The message gives the most similar names.
        SettingsError: the data set's loader does not have one of the arguments.
        SteerlensError: the data set's loader raises an error.
    """
    if name not in DATA_SETS:
        raise UnknownNameError(
            "data set", name, DATA_SETS, "To read another data set of the Hugging Face hub, use steerlens.data.from_hub."
        )
    try:
        return DATA_SETS[name](locales, **settings)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise SettingsError(f"{name}: {error}. Expected only arguments of the loader of this data set.") from error
