"""The function ``export``, which writes a plan to a file for another tool."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from steerlens.errors import UnknownNameError
from steerlens.exchange.aisteer360 import write_aisteer360
from steerlens.exchange.easysteer import write_easysteer
from steerlens.exchange.exported import Exported
from steerlens.exchange.llama_cpp import write_llama_cpp, write_repeng
from steerlens.exchange.steering_vectors import write_steering_vectors
from steerlens.exchange.vllm_lens import write_vllm_lens

TOOLS: dict[str, Callable[[Any, Path], Exported]] = {
    "llama.cpp": write_llama_cpp,
    "repeng": write_repeng,
    "steering-vectors": write_steering_vectors,
    "vllm-lens": write_vllm_lens,
    "easysteer": write_easysteer,
    "aisteer360": write_aisteer360,
}
"""The tools that read files, with the function that writes a file for the tool."""
_ENDINGS = {".gguf": "llama.cpp", ".svec": "aisteer360", ".safetensors": "steering-vectors"}


def export(plan: Any, path: str | Path, to: str | None = None) -> Exported:
    """Writes a plan for another tool.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.
        path: the path of the file. The ending decides the tool: ``.gguf`` for llama.cpp, ``.svec`` for AI Steerability 360,
            ``.safetensors`` for steering-vectors.
        to: the name of the tool, one of ``TOOLS``. The name is needed if the ending does not decide the tool.

    Returns:
        A description of the file: the path, the command or lines that steer with the file, and notes on how the tool's steering
        differs from the plan. Print the result to see the description. The notes are also logged as warnings.

    Raises:
        FileError: the file cannot be written.
        ModelError: a package that is needed to write the file is not installed.
        UnknownNameError: the tool is unknown, or no tool was given and the ending does not decide the tool.
        VectorError: the tool cannot run the plan. The message explains why.
    """
    path = Path(path)
    tool = _ENDINGS.get(path.suffix, path.suffix) if to is None else to
    if tool not in TOOLS:
        advice = (
            "Without to=, the ending of the file names the tool: "
            + ", ".join(f"{ending} {name}" for ending, name in _ENDINGS.items())
            + "."
        )
        raise UnknownNameError("tool", tool, TOOLS, f"Name the tool with export(path, to=...). {advice}")
    return TOOLS[tool](plan, path)
