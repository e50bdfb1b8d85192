"""Merges PEFT adapters into a model's weights."""

from pathlib import Path
from typing import Any

from steerlens.errors import ModelError
from steerlens.storage import read_json

_FILES = ("adapter_config.json", "adapter_model.safetensors")
_TEXT_PART = ".language_model."
"""A part of weight names that occurs in adapters for a full model with images, but not in adapters for the text model alone."""


def adapter_folder(adapter: str) -> Path:
    """Returns the folder of an adapter. An adapter that is not a local folder is downloaded from the hub.

    Raises:
        ModelError: the package ``peft`` is not installed, the adapter has no weights in safetensors format, or its settings are
            not the settings of a usable adapter. Settings with ``megatron_config`` would make peft import another module.
        FileError: the adapter's settings are missing or damaged.
    """
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"reading adapter {adapter} needs the package peft, which is not installed. Install it with: pip install "
            "'steerlens[peft]'"
        ) from error
    from huggingface_hub import snapshot_download

    folder = Path(adapter).expanduser()
    if not folder.is_dir():
        folder = Path(snapshot_download(adapter, allow_patterns=list(_FILES)))
    if not (folder / _FILES[1]).is_file():  # otherwise peft would read another format
        raise ModelError(
            f"adapter {adapter} has no weights in safetensors format: expected adapter_config.json and {_FILES[1]}. steerlens "
            "does not read other formats, such as adapter_model.bin, because code that is hidden in such files could run. If "
            "you trust the adapter, convert it with PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), "
            "adapter).save_pretrained(new_folder)."
        )
    config = read_json(folder / _FILES[0], "Copy all files of the adapter again.")
    if not isinstance(config, dict) or config.get("megatron_config"):  # peft would import the module that this setting names
        raise ModelError(
            f"{_FILES[0]} of adapter {adapter} does not contain the settings of an adapter, or contains megatron_config: "
            "expected the settings of an adapter for a Hugging Face model, without megatron_config."
        )
    return folder


def is_for_whole(folder: Path) -> bool:
    """Returns whether an adapter was trained on a full model with images, and not only on the text model."""
    return any(_TEXT_PART in name for name in _names(folder))


def merged(model: Any, folder: Path) -> Any:
    """Returns a Hugging Face model with an adapter's weights added to the model's own weights.

    Raises:
        ValueError: some of the adapter's weights do not belong to any part of the model; peft would leave them out without an
            error.
    """
    from peft import PeftModel, get_peft_model_state_dict

    adapted = PeftModel.from_pretrained(model, str(folder))
    # without save_embedding_layers, peft would ask the hub whether the base model has other embeddings
    placed = set(get_peft_model_state_dict(adapted, save_embedding_layers=True))
    if lost := sorted(_names(folder) - placed):
        raise ValueError(f"{len(lost)} weights of the adapter have no place in the model (the first one is {lost[0]})")
    return adapted.merge_and_unload()


def _names(folder: Path) -> set[str]:
    from safetensors import safe_open

    with safe_open(folder / _FILES[1], framework="pt") as file:
        return set(file.keys())
