"""Converts control vectors of repeng (https://github.com/vgel/repeng, version 0.4), as Python objects.

``ControlVector.directions`` maps block indices to arrays ``[d_model]``, and ``ControlModel`` adds these arrays to the output of
the blocks. As in steerlens, the vectors are added after the blocks, and a layer number is the index of a block. repeng 0.4 needs
NumPy below 2, and steerlens needs NumPy 2. If the two packages cannot be installed together, use a GGUF file to exchange vectors
(``plan.export(path, "repeng")``, ``from_gguf``).
"""

from collections.abc import Mapping
from typing import Any

from steerlens.errors import ModelError, VectorError
from steerlens.exchange.additions import notes_of, only_addition
from steerlens.exchange.exported import said
from steerlens.exchange.incoming import incoming_vector, model_fingerprint
from steerlens.steering.vectors import SteeringVector


def to_repeng(plan: Any, model_type: str = "unknown") -> Any:
    """Returns a plan as repeng's ``ControlVector``. The directions of this object are the vectors that the plan adds after each
    block, multiplied by the strength.

    ``ControlModel(hf_model, plan.layers)`` and ``set_control(vector)`` steer every token with this object.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.
        model_type: the name of the architecture at Hugging Face, such as ``gemma3_text``. repeng compares this name when two
            vectors are added.

    Raises:
        VectorError: the plan does more than add vectors, or its steps steer different tokens.
        ModelError: repeng is not installed, or does not work with the installed version of NumPy.
    """
    added = only_addition(plan, "repeng")
    control_vector = _control_vector()
    said(notes_of(plan, added, "repeng"))
    return control_vector(model_type=model_type, directions={layer: vector.numpy() for layer, vector in added.vectors.items()})


def from_repeng(vector: Any, model: Any, name: str = "repeng") -> SteeringVector:
    """Returns a ``ControlVector`` of repeng as a steering vector. Strength 1 is the same as coefficient 1 in repeng.

    Args:
        vector: the ``ControlVector`` object. For a file, use ``from_gguf`` instead.
        model: the ``LensModel`` from which the vector was taken.
        name: the name of the vector.

    Raises:
        LayerError: the model does not have one of the layers.
        VectorError: ``vector`` is not a ``ControlVector``, there is no model, the width differs, or numbers are not real and
            finite.
    """
    directions = getattr(vector, "directions", None)
    if not isinstance(directions, Mapping):
        raise VectorError(
            f"{type(vector).__name__} given: expected the class ControlVector of repeng, whose directions are stored by block "
            "index. To read a file that export_gguf of repeng wrote, give its path to sl.exchange.from_gguf."
        )
    notes = {"model_type": str(getattr(vector, "model_type", ""))}
    return incoming_vector(directions, model_fingerprint(model, "repeng's vector"), "repeng's vector", name, notes)


def _control_vector() -> Any:
    try:
        from repeng import ControlVector
    except (ImportError, AttributeError) as error:  # repeng 0.4 uses np.float_, which NumPy 2 does not have
        raise ModelError(
            f"repeng cannot be imported here ({type(error).__name__}: {error}). Install it with: pip install repeng. If repeng "
            "needs a different NumPy than steerlens, write the file with plan.export('x.gguf', 'repeng'), and read the file "
            "in a separate environment for repeng, with ControlVector.import_gguf('x.gguf')."
        ) from error
    return ControlVector
