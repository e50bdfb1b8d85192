"""Shares vectors and plans on the Hugging Face hub: writes folders with a model card, uploads them, and reads files at a fixed
revision."""

from steerlens.hub.cards import ModelCard
from steerlens.hub.fetching import Found, found
from steerlens.hub.folders import folder_for_hub
from steerlens.hub.pushing import Pushed, pushed

__all__ = ["Found", "ModelCard", "Pushed", "folder_for_hub", "found", "pushed"]
