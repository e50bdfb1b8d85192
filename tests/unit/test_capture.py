"""Captured residuals are the model's own, whatever else is in the batch."""

from pathlib import Path

import pytest
import torch

import steerlens as sl
from steerlens.errors import FileError, LayerError, PromptError
from steerlens.models.hooks import residual_hook


def _relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(((a - b).norm(dim=-1) / b.norm(dim=-1)).max())


def test_equal_hugging_faces_hidden_states(model: sl.LensModel, prompts: tuple[sl.data.Prompt, ...]) -> None:
    stack = model.residuals(prompts)
    for row, prompt in enumerate(prompts):
        ids = torch.tensor([model.tokens(prompt).ids], device=model.device)
        with torch.no_grad():
            hidden = [each.cpu() for each in model.tl.original_model(ids, output_hidden_states=True).hidden_states]
            last = model.tl.ln_final(stack.at(model.n_layers - 1)[row].to(model.device)).cpu()
        for layer in range(model.n_layers - 1):
            assert _relative(stack.at(layer)[row], hidden[layer + 1][0, -1]) < 1e-3
        assert _relative(last, hidden[-1][0, -1]) < 1e-3  # Hugging Face gives the last layer after the final norm


@pytest.mark.parametrize("positions", ["last", "mean", 2, -2])
@pytest.mark.parametrize("side", ["left", "right"])
def test_do_not_depend_on_the_batch(
    model: sl.LensModel, prompts: tuple[sl.data.Prompt, ...], positions: str | int, side: str
) -> None:
    together = model.residuals(prompts, positions=positions, padding_side=side)
    alone = torch.cat([model.residuals([p], positions=positions, batch_size=1).residuals for p in prompts], dim=1)
    assert _relative(together.residuals, alone) < 1e-4


def test_mean_leaves_bos_out(llama: sl.LensModel) -> None:
    prompt = "¿Qué se desayuna?"
    n = len(llama.tokens(prompt))
    each = [llama.residuals([prompt], positions=place).residuals for place in range(1, n)]
    assert _relative(llama.residuals([prompt], positions="mean").residuals, torch.stack(each).mean(0)) < 1e-5


def test_nothing_is_unembedded_and_no_block_above_runs(model: sl.LensModel) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("this module should not have run")

    handles = [module.register_forward_pre_hook(fail) for module in (model.tl.unembed, model.tl.blocks[2])]
    try:
        assert model.residuals(["Hello there"], layers=[0, 1]).layers == (0, 1)
    finally:
        for handle in handles:
            handle.remove()


def test_leave_no_hook_behind(llama: sl.LensModel) -> None:
    llama.residuals(["Hello"])
    assert not llama.tl.hook_dict[residual_hook(1)].fwd_hooks


def test_save_and_load(llama: sl.LensModel, prompts: tuple[sl.data.Prompt, ...], tmp_path: Path) -> None:
    stack = llama.residuals(prompts, layers=[1, 3], positions="mean")
    back = sl.ResidualStack.load(stack.save(tmp_path / "stack.safetensors"))
    assert torch.equal(back.residuals, stack.residuals)
    assert (back.layers, back.prompts, back.positions, back.fingerprint) == (
        stack.layers,
        stack.prompts,
        stack.positions,
        stack.fingerprint,
    )
    assert list(back.table().columns) == ["concept", "locale", "kind", "form", "text"]


def test_truncated_file_is_said_to_be_one(llama: sl.LensModel, tmp_path: Path) -> None:
    path = llama.residuals(["Hello"]).save(tmp_path / "stack.safetensors")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileError, match="truncated"):
        sl.ResidualStack.load(path)
    with pytest.raises(FileError, match="No such file"):
        sl.ResidualStack.load(tmp_path / "nothing.safetensors")


def test_selections(llama: sl.LensModel, prompts: tuple[sl.data.Prompt, ...]) -> None:
    stack = llama.residuals(prompts)
    korean = stack.where(lambda prompt: prompt.locale == "ko-KR")
    assert {prompt.locale for prompt in korean.prompts} == {"ko-KR"}
    assert torch.equal(stack.of(korean.prompts).residuals, korean.residuals)
    with pytest.raises(PromptError):
        stack.where(lambda prompt: prompt.locale == "nowhere")
    with pytest.raises(PromptError, match="not in this stack"):
        stack.of([sl.data.Prompt("never seen")])
    with pytest.raises(LayerError, match="0 to 3"):
        stack.at(4)


@pytest.mark.parametrize("layers", [[4], [-1], []])
def test_unknown_layer(llama: sl.LensModel, layers: list) -> None:
    with pytest.raises(LayerError, match="0 to 3"):
        llama.residuals(["Hello"], layers=layers)


def test_bad_prompts(llama: sl.LensModel) -> None:
    for bad in ([], [""], ["  "]):
        with pytest.raises(PromptError):
            llama.residuals(bad)
    with pytest.raises(PromptError, match="0 to"):
        llama.residuals(["Hi"], positions=50)
    with pytest.raises(PromptError, match="'last', 'mean'"):
        llama.residuals(["Hi"], positions="first")
    with pytest.raises(PromptError, match="takes at most"):
        llama.residuals(["word " * 5000])
