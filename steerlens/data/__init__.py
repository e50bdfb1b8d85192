"""Items, locales, splits by concept, the built-in atlas and the user's own files."""

from steerlens.data.files import atlas, atlas_locales, load_items
from steerlens.data.items import KINDS, Item, Items, Kind, Split
from steerlens.data.locales import ENGLISH, Locale, add_locale, known_locales, locale
from steerlens.data.pairs import PromptPairs, english_pairs, localized_pairs
from steerlens.data.prompts import Form, Prompt
from steerlens.data.public import (
    blend,
    blend_choices,
    bmlama,
    cultural_bench,
    from_hub,
    global_mmlu,
    include,
    mkqa,
    mmlu_prox,
    mmmlu,
    public,
)

__all__ = [
    "ENGLISH",
    "KINDS",
    "Form",
    "Item",
    "Items",
    "Kind",
    "Locale",
    "Prompt",
    "PromptPairs",
    "Split",
    "add_locale",
    "atlas",
    "atlas_locales",
    "blend",
    "blend_choices",
    "bmlama",
    "cultural_bench",
    "english_pairs",
    "from_hub",
    "global_mmlu",
    "include",
    "known_locales",
    "load_items",
    "locale",
    "localized_pairs",
    "mkqa",
    "mmlu_prox",
    "mmmlu",
    "public",
]
