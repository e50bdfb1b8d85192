"""Items, locales, splits by concept, the built-in atlas and the user's own files."""

from steerlens.data.files import atlas, atlas_locales, load_items
from steerlens.data.items import KINDS, Item, Items, Prompt, PromptPairs, Split
from steerlens.data.locales import ENGLISH, Locale, add_locale, known_locales, locale

__all__ = [
    "ENGLISH",
    "KINDS",
    "Item",
    "Items",
    "Locale",
    "Prompt",
    "PromptPairs",
    "Split",
    "add_locale",
    "atlas",
    "atlas_locales",
    "known_locales",
    "load_items",
    "locale",
]
