"""Items, locales, splits by concept, the built-in atlas and the user's own files."""

from steerlens.data import parallel
from steerlens.data.checks import Problem, check
from steerlens.data.files import atlas, load_items
from steerlens.data.items import KINDS, Evidence, Holdout, Item, Items, Kind, Split, letter_order
from steerlens.data.locales import ENGLISH, Locale, add_locale, atlas_locales, further_locales, known_locales, locale
from steerlens.data.pairs import PromptPairs, english_pairs, localized_pairs
from steerlens.data.parallel import ParallelCorpus, ParallelText
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
    "Evidence",
    "Form",
    "Holdout",
    "Item",
    "Items",
    "Kind",
    "Locale",
    "ParallelCorpus",
    "ParallelText",
    "Problem",
    "Prompt",
    "PromptPairs",
    "Split",
    "add_locale",
    "atlas",
    "atlas_locales",
    "blend",
    "blend_choices",
    "bmlama",
    "check",
    "cultural_bench",
    "english_pairs",
    "from_hub",
    "further_locales",
    "global_mmlu",
    "include",
    "known_locales",
    "letter_order",
    "load_items",
    "locale",
    "localized_pairs",
    "mkqa",
    "mmlu_prox",
    "mmmlu",
    "parallel",
    "public",
]
