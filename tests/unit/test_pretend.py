"""The pretended device computes as the CPU does, and refuses what a GPU refuses."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

CODE = """
import os, pretend, torch
here = torch.ones(2, 3, device="pretend")
assert here.device.type == "pretend" != (here * 2).cpu().device.type
assert (here + torch.tensor(1.0)).tolist() == [[2.0] * 3] * 2
assert here[[0, 1], torch.tensor([2, 2])].sum().item() == 2
layer = torch.nn.Linear(3, 2).to("pretend")
layer(here).sum().backward()
assert layer.weight.grad.tolist() == [[2.0] * 3] * 2
for wrong in (
    lambda: here + torch.ones(3),
    lambda: layer(torch.ones(3)),
    lambda: torch.ones(2, 3)[here.bool()],
    lambda: torch.cat([here, torch.ones(2, 3)]),
    lambda: here.numpy(),
    lambda: torch.randn(2, device="pretend", generator=torch.Generator()),
):
    try:
        wrong()
    except RuntimeError:
        continue
    raise SystemExit("not refused")
os._exit(0)
"""
"""It ends without Python's own end, in which PyTorch's thread of gradients for such a device aborts the process now and then."""


@pytest.mark.skipif(
    not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this PyTorch takes no backend written in Python",
)
def test_it_refuses_what_a_gpu_refuses() -> None:
    """In a process of its own, since the device is one of PyTorch's from then on."""
    folder = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", CODE], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
