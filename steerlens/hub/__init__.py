"""The Hugging Face hub: folders with a model card, their upload, and files at a pinned revision."""

from steerlens.hub.cards import ModelCard
from steerlens.hub.fetching import Found, found
from steerlens.hub.folders import folder_for_hub
from steerlens.hub.pushing import Pushed, pushed

__all__ = ["Found", "ModelCard", "Pushed", "folder_for_hub", "found", "pushed"]
