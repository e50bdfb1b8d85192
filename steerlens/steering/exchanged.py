"""The methods of ``SteeringPlan`` for the use of a plan outside steerlens. The methods call ``steerlens.exchange``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steerlens.exchange import Exported


class Exchanged:
    """Methods that write a plan for other tools, or apply it in plain PyTorch. The pages in ``docs/howto`` describe what each
    tool can do."""

    def export(self, path: str | Path, to: str | None = None) -> "Exported":
        """Writes the plan to a file for another tool. The result contains the path of the file and the command that steers
        with the file. Print the result to see the command.

        Args:
            path: the file. The ending selects the tool: ``x.gguf`` for llama.cpp, ``x.svec`` for AI Steerability 360, and
                ``x.safetensors`` for steering-vectors.
            to: the name of the tool in ``sl.exchange.TOOLS``. ``None`` selects the tool by the ending of the file.

        Raises:
            FileError: the file cannot be written.
            UnknownNameError: there is no such tool.
            VectorError: the tool does not support an operation of the plan.
        """
        from steerlens.exchange import export

        return export(self, path, to)

    def to_repeng(self, model_type: str = "unknown") -> Any:
        """Returns the plan as a ``ControlVector`` of repeng. The strength is included in the vector.

        Args:
            model_type: Hugging Face's name for the architecture, such as ``gemma3_text``.

        Raises:
            ModelError: repeng is not installed.
            VectorError: a step of the plan does not add a vector, or the steps steer different tokens.
        """
        from steerlens.exchange import to_repeng

        return to_repeng(self, model_type)

    def to_steering_vectors(self) -> Any:
        """Returns the plan as a ``SteeringVector`` of the package steering-vectors. The strength is included in the vector.

        Raises:
            ModelError: steering-vectors is not installed.
            VectorError: a step of the plan does not add a vector, or the steps steer different tokens.
        """
        from steerlens.exchange import to_steering_vectors

        return to_steering_vectors(self)

    @contextmanager
    def torch_hooks(self, hf_model: Any, *, same_weights: bool = True) -> Iterator[Any]:
        """Steers every forward pass of a Hugging Face model inside the ``with`` block, without TransformerLens. The hooks are
        removed at the end of the ``with`` block.

        Args:
            hf_model: a model as returned by ``AutoModelForCausalLM.from_pretrained``.
            same_weights: whether the model must have the weights for which the plan was made. The check reads all weights.

        Raises:
            FingerprintError: the model's weights or number type differ from those of the model for which the plan was made.
            ModelError: the given object is not a Hugging Face model, or its blocks do not return the residual stream.
        """
        from steerlens.exchange import torch_hooks

        with torch_hooks(self, hf_model, same_weights=same_weights):
            yield hf_model

    def bake(self, hf_model: Any, *, front: bool = False, same_weights: bool = True) -> Any:
        """Returns a copy of a Hugging Face model with the plan added to the biases of its blocks. The result is exact, and
        plans that cannot be represented exactly raise an error.

        Args:
            hf_model: a model as returned by ``AutoModelForCausalLM.from_pretrained``. The given model is not changed.
            front: whether the tokens in front of a prompt, such as BOS, may be steered too.
            same_weights: whether the model must have the weights for which the plan was made. The check reads all weights.

        Raises:
            FingerprintError: the model's weights or number type differ from those of the model for which the plan was made.
            ModelError: the architecture has no bias at the end of a block, or another operation follows this bias.
            VectorError: a step of the plan does not add a vector or does not steer ``all`` tokens, or the tokenizer puts
                tokens in front of a prompt and ``front`` is ``False``.
        """
        from steerlens.exchange import bake

        return bake(self, hf_model, front=front, same_weights=same_weights)
