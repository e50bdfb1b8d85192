"""Makes a plan part of a model's weights. The plan's vectors are added to the biases of the last projections of blocks.

The output of a block's MLP is added to the residual stream, and steerlens reads the stream directly afterwards. Adding a vector
at every token therefore has the same effect as adding the vector to the bias of the MLP's last projection. This is true only if
no norm or factor follows the projection. The MLPs of Llama have no biases unless the configuration sets ``mlp_bias``, which gives
all projections of all MLPs a bias. ``bake`` changes a copy of the model. Before the copy is returned, the effect of its biases is
compared with the effect of hooks that add vectors after the same blocks. The copy is a plain checkpoint, so ``save_pretrained``
and ``from_pretrained`` keep the plan.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from steerlens.errors import ModelError, VectorError
from steerlens.exchange.additions import WORDS, only_addition
from steerlens.exchange.hugging_face import blocks_of, check_model, stream_of, with_stream
from steerlens.models.backends.offloading import is_offloaded
from steerlens.models.backends.watching import only_reads

_OUTPUTS = ("mlp.down_proj", "mlp.c_proj", "mlp.dense_4h_to_h", "mlp.fc_out", "mlp.fc2", "fc2")
"""The names of the last projection of a block in different architectures."""
_CLOSE = {torch.float32: 1e-3, torch.float64: 1e-3}
"""The largest relative difference of the residual stream that counts as a rounding error. For models in half precision, the limit
is 0.1."""
_OUT = "Run the plan with plan.torch_hooks(model), or load the model with sl.load and use plan.applied(model)."


def bake(plan: Any, model: Any, *, front: bool = False, same_weights: bool = True) -> Any:
    """Returns a copy of a Hugging Face model that is steered only by its weights. The copy can be saved and loaded like any other
    model.

    A bias is added at every token, including the tokens in front of the prompt.

    Args:
        plan: a ``SteeringPlan`` that adds vectors at ``tokens="all"``.
        model: the Hugging Face model, which is not changed.
        front: whether the tokens in front of a prompt, such as BOS, may also be steered. ``True`` is not needed if the tokenizer
            puts no tokens in front.
        same_weights: whether the model must have the weights for which the plan was made. All weights are read for this check.

    Raises:
        FingerprintError: the model has other weights, or another dtype.
        ModelError: the configuration of the architecture has no setting for a bias of the last projection, or another operation
            follows this projection. The error is also raised if the model has hooks, is offloaded, or is in training mode.
        VectorError: the plan does more than add vectors or steers other tokens than ``all``. The error is also raised if the
            tokenizer puts tokens in front and ``front`` is ``False``.
    """
    check_model(model, plan.fingerprint, f"plan ({plan})", same_weights=same_weights)
    added = only_addition(plan, "a bias")
    if added.tokens != "all":
        raise VectorError(
            f"plan ({plan}) steers {WORDS[added.tokens]}, but a bias is added at every token. Use the vector with "
            f"tokens='all', and measure the effect at all tokens. {_OUT}"
        )
    if plan.fingerprint.front and not front:
        raise VectorError(
            f"plan ({plan}) does not steer the tokens in front of a prompt (token ids {list(plan.fingerprint.front)}), but a "
            f"bias is added at these tokens too. Give front=True to steer these tokens. {_OUT}"
        )
    if is_offloaded(model):
        raise ModelError(
            "the model is offloaded: some of its weights are kept in the CPU's memory or on disk until they are needed, so a "
            f"copy of the model cannot be changed. Load the model without offloading. {_OUT}"
        )
    if any(part.training for part in model.modules()):
        raise ModelError("the model is in training mode, so dropout makes its outputs random. Call model.eval() first.")
    hooks = [hook for part in model.modules() for own in (part._forward_pre_hooks, part._forward_hooks) for hook in own.values()]
    if not all(map(only_reads, hooks)):
        raise ModelError(
            "the model has hooks, and the copy would have the same hooks. Remove the hooks first, or leave the `with` block "
            "of the plan."
        )
    baked = copy.deepcopy(model)
    blocks = blocks_of(baked, plan.fingerprint)
    biases = _biases(baked, blocks, added.layers)
    _compare(model, blocks_of(model, plan.fingerprint), baked, blocks, biases)
    for layer, vector in added.vectors.items():
        _add(biases[layer], vector)
    return baked


def _biases(model: Any, blocks: nn.ModuleList, layers: Sequence[int]) -> dict[int, Tensor]:
    """Returns the biases of the last projections of the blocks in ``layers``. If one of these projections has no bias, all
    projections get a bias of zeros."""
    outputs = {layer: _output_of(blocks[layer], type(model).__name__) for layer in layers}
    if any(output.bias is None for output in outputs.values()):
        _give_biases(model, blocks)
    return {layer: output.bias for layer, output in outputs.items()}


@torch.no_grad()
def _add(bias: Tensor, vector: Float[Tensor, " d_model"]) -> None:
    """Adds a vector to a bias, and rounds the sum once."""
    bias.copy_(bias.cpu().double() + vector.cpu().double())


def _output_of(block: nn.Module, architecture: str) -> Any:
    """Returns the last projection of a block: a linear layer, or GPT-2's ``Conv1D``."""
    parts = dict(block.named_modules())
    for name in _OUTPUTS:
        if isinstance(getattr(parts.get(name), "weight", None), Tensor) and hasattr(parts[name], "bias"):
            return parts[name]
    raise ModelError(
        f"{architecture} has blocks whose last projection has none of the names that steerlens knows ({', '.join(_OUTPUTS)}). "
        f"{_OUT}"
    )


def _give_biases(model: Any, blocks: nn.ModuleList) -> None:
    """Gives every projection of every MLP a bias of zeros, if the model's configuration has a setting for these biases."""
    if getattr(model.config, "mlp_bias", None) is not False:
        raise ModelError(
            f"the last projections in the blocks of {type(model).__name__} have no bias, and the model's configuration has no "
            "setting for "
            f"such a bias. A saved copy would therefore be loaded without the bias. {_OUT}"
        )
    model.config.mlp_bias = True
    each: Any = blocks
    for block in each:
        for part in block.mlp.modules():
            if isinstance(part, nn.Linear) and part.bias is None:
                part.bias = nn.Parameter(part.weight.new_zeros(part.out_features))
    with torch.device("meta"):
        expected = type(model)(model.config).state_dict()
    if {name: tensor.shape for name, tensor in expected.items()} != {n: t.shape for n, t in model.state_dict().items()}:
        raise ModelError(
            f"a saved copy of {type(model).__name__} could not be loaded again: with mlp_bias=True, this model expects other "
            f"weights than the copy has after steerlens added the biases. {_OUT}"
        )


@torch.no_grad()
def _compare(
    plain: Any, plain_blocks: nn.ModuleList, baked: Any, baked_blocks: nn.ModuleList, biases: Mapping[int, Tensor]
) -> None:
    """Raises an error if a bias changes the residual stream differently from a vector that is added after the block.

    The test vectors have the same norm as the residual stream, so rounding cannot hide a difference. At the end, the biases have
    their old values again.
    """
    ids = (torch.arange(12, device=plain.device) * 7919 % int(plain.get_input_embeddings().weight.shape[0]))[None]
    width, drawn, tried = len(next(iter(biases.values()))), torch.Generator().manual_seed(0), {}
    before = _streams(plain, plain_blocks, ids, width, {})
    for layer in biases:
        direction = torch.randn(width, generator=drawn)
        tried[layer] = direction * before[layer].norm(dim=-1).median().cpu() / direction.norm()
    expected, kept = _streams(plain, plain_blocks, ids, width, tried), {layer: bias.clone() for layer, bias in biases.items()}
    for layer, bias in biases.items():
        _add(bias, tried[layer])
    given = _streams(baked, baked_blocks, ids, width, {})
    for layer, bias in biases.items():
        bias.copy_(kept[layer])
    far = max(
        float(((own - other).norm(dim=-1) / other.norm(dim=-1)).median()) for own, other in zip(given, expected, strict=True)
    )
    if not far <= _CLOSE.get(plain.dtype, 0.1):
        raise ModelError(
            f"a bias does not change the residual stream in the same way as an added vector (relative difference {far:.1e}). "
            f"In the blocks of {type(plain).__name__}, another operation follows the last projection, such as the norm in "
            f"Gemma. {_OUT}"
        )


def _streams(
    model: Any, blocks: nn.ModuleList, ids: Tensor, width: int, added: Mapping[int, Tensor]
) -> list[Float[Tensor, "pos d_model"]]:
    """Returns the residual stream after every block, as float32. The vectors in ``added`` are added after their blocks at every
    token."""
    found: dict[int, Tensor] = {}

    def steer(layer: int, _: nn.Module, __: Any, output: Any) -> Any:
        stream = stream_of(output, width)
        if layer in added:
            stream = (stream.float() + added[layer].to(stream.device)).to(stream.dtype)
        found[layer] = stream[0].float()
        return with_stream(output, stream)

    every: Any = blocks
    handles = [block.register_forward_hook(partial(steer, layer)) for layer, block in enumerate(every)]
    try:
        model(input_ids=ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return [found[layer] for layer in range(len(blocks))]
