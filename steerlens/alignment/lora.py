"""Makes a LoRA adapter on a separate copy of the Hugging Face model, so that the given model is not changed by training."""

from typing import Any

import torch

from steerlens.alignment.learner import Learner
from steerlens.alignment.objectives import Weights
from steerlens.errors import ModelError
from steerlens.models.lens import LensModel
from steerlens.models.loading import hugging_face_of
from steerlens.numeric import layers_of
from steerlens.training import TrainingSettings

_ATTENTION_DROPOUT = {"attention_dropout", "attn_pdrop", "dropout_p"}
"""The attribute names under which attention modules store their dropout rate."""
_ATTENTION = ("attn", "attention")
"""Words in the names of attention modules."""


def learner_of(model: LensModel, settings: TrainingSettings, weights: Weights) -> Learner:
    """Reads the model again, and returns the new copy with a LoRA adapter (Hu et al., arXiv 2106.09685) on the linear maps of its
    blocks.

    The given model is not changed. Only the adapter's weights have gradients.

    Args:
        model: the base model.
        settings: the adapter's rank, scale and layers, and the seed of its initial weights.
        weights: ``all`` for all linear maps of the blocks, or ``attention`` for only the linear maps of attention.

    Raises:
        ModelError: peft is not installed, the model cannot be loaded again, or its blocks have no linear maps of the kind in
            ``weights``.
        LayerError: the settings name a layer that the model does not have.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ModelError(
            "alignment by training needs packages that are not installed. Install them with: pip install 'steerlens[alignment]'"
        ) from error
    layers = model.layers(None if settings.layers is None else layers_of(settings.layers, model.layers(), f"model {model.name}"))
    hf = hugging_face_of(model.spec).to(model.device)
    names = names_of_blocks(hf, model.n_layers)
    targets = [target for layer in layers for target in _linear(hf, names[layer], weights)]
    if not targets:
        kind = "linear maps of attention" if weights == "attention" else "linear maps"
        raise ModelError(
            f"{model.name} has no {kind} in blocks {list(layers)}: expected at least one, because the adapter is trained on "
            "linear maps. Use another model."
        )
    for module in hf.modules():  # the model before training is compared with: noise would be a difference
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in _ATTENTION_DROPOUT & vars(module).keys():
            setattr(module, name, 0.0)
    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=targets,
        base_model_name_or_path=model.spec.name,
        task_type="CAUSAL_LM",
    )
    adapted: Any = get_peft_model(hf, config)
    config.base_model_name_or_path = model.spec.name  # peft put the folder of this machine there
    return Learner(adapted, [hf.get_submodule(name) for name in names], model.tokenizer.pad_id or 0)  # padding is masked


def names_of_blocks(hf: Any, n_layers: int) -> list[str]:
    """Returns the name of each block of a Hugging Face model, in order.

    Args:
        hf: the model.
        n_layers: the number of its blocks.

    Raises:
        ModelError: the model contains no list with this number of blocks.
    """
    for name, module in hf.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_layers:
            return [f"{name}.{at}" for at in range(n_layers)]
    raise ModelError(
        f"the list of the {n_layers} blocks of {type(hf).__name__} cannot be found, so steerlens cannot train this model. Use a "
        "model of another architecture."
    )


def _linear(hf: Any, block: str, weights: Weights) -> list[str]:
    """Returns the names of a block's linear maps. In GPT-2, linear maps have the class ``Conv1D``."""
    from transformers.pytorch_utils import Conv1D

    found = [
        name
        for name, module in hf.get_submodule(block).named_modules()
        if type(module) in (torch.nn.Linear, Conv1D) and (weights == "all" or any(part in name for part in _ATTENTION))
    ]
    return [f"{block}.{name}" for name in found]
