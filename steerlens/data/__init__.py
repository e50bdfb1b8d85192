"""Items, locales, splits by concept, the built-in atlas and the user's own files."""

from steerlens.data.files import atlas, atlas_locales, load_items
from steerlens.data.items import KINDS, Item, Items, Kind, Split
from steerlens.data.locales import ENGLISH, Locale, add_locale, known_locales, locale
from steerlens.data.pairs import PromptPairs, english_pairs, localized_pairs
from steerlens.data.prompts import Form, Prompt

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
    "english_pairs",
    "known_locales",
    "load_items",
    "locale",
    "localized_pairs",
]
