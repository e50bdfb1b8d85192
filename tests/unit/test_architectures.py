"""The harness of architectures: right models come out right, and a planted fault is seen."""

import json
from pathlib import Path

import pytest
import torch

import steerlens as sl
from steerlens.activations import ResidualStack
from steerlens.evaluation import Scorer
from steerlens.models.batches import Row
from steerlens.models.roles import LAST, PROMPT
from steerlens.testing import FAMILIES, behaviour, checks
from steerlens.testing.architectures import chosen, examine, examine_all, main
from steerlens.testing.bench import Bench
from steerlens.testing.findings import Tally
from steerlens.testing.folders import write_model
from steerlens.testing.tables import Examined, markdown, summary

CONTROLS = ("Gemma 3", "Qwen 3", "GPT-2", "Mistral")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("gpt2")
    (family,) = (family for family in FAMILIES if family.name == "GPT-2")
    write_model(family, folder)
    return Bench.of(family, folder, sl.load(folder, "cpu", "float32"))


@pytest.mark.parametrize("name", CONTROLS)
def test_right_architectures_come_out_right(name: str) -> None:
    (family,) = (family for family in FAMILIES if family.name == name)
    row = examine(family)
    assert row.loaded
    assert not row.wrong, row.to_dict()
    assert row.findings["sweep"].verdict == row.findings["generate"].verdict == "ok"


def test_a_wrong_residual_is_seen(gpt2: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.residuals(gpt2)["residuals"].verdict == "ok"
    right = sl.LensModel.residuals

    def shifted(self: sl.LensModel, *args: object, **named: object) -> ResidualStack:
        stack = right(self, *args, **named)  # type: ignore[arg-type]
        if named.get("padding_side") == "left":
            stack.residuals[1] += 0.01 * stack.residuals[1].norm()
        return stack

    monkeypatch.setattr(sl.LensModel, "residuals", shifted)
    found = checks.residuals(gpt2)["residuals"]
    assert found.verdict == "off"
    assert "left-padded" in found.text
    assert "right-padded" not in found.text


def test_a_token_with_the_wrong_role_is_seen(gpt2: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Row.roles.fget

    def shifted(row: Row) -> list[int]:
        """The prompt's last token is read as any other."""
        return [PROMPT if role == LAST else role for role in right(row)]  # type: ignore[misc]

    monkeypatch.setattr(Row, "roles", property(shifted))
    found = checks.sweeps(gpt2)
    assert found["sweep"].verdict == found["full pass"].verdict == "off"
    assert "last_onward" in found["sweep"].text
    assert "generated" not in found["sweep"].text


def test_a_hook_that_stays_is_seen(gpt2: Bench) -> None:
    before = behaviour.hooks_at_rest(gpt2.model)
    handle = gpt2.model.tl.blocks[0].register_forward_hook(lambda *_: None)
    try:
        assert behaviour.hooks_left(gpt2, before)["hooks"].verdict == "off"
    finally:
        handle.remove()
    assert behaviour.hooks_left(gpt2, before)["hooks"].verdict == "ok"


def test_errors_and_refusals_are_told_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Scorer, *_: object) -> None:
        raise sl.errors.ModelError("not for this one")

    monkeypatch.setattr("steerlens.testing.architectures.CHECKS", {checks.gradients: ("gradients",)})
    monkeypatch.setattr(Scorer, "gradients", refuse)
    broken = sl.testing.Family("broken", "NoSuchConfig", "NoSuchModel", "none")
    (family,) = (family for family in FAMILIES if family.name == "GPT-2")
    first, second = examine_all([broken, family])
    assert not first.loaded
    assert first.findings["load"].verdict == "error"
    assert second.findings["gradients"].verdict == "refused"
    assert "not for this one" in markdown([first, second])
    assert "1 refused in something" in summary([first, second])


def test_nan_and_shapes_count_as_off() -> None:
    tally = Tally(1e-3)
    tally.compare("here", torch.tensor([float("nan")]), torch.tensor([1.0]))
    assert tally.finding.verdict == "off"
    tally = Tally(1e-3)
    tally.compare("there", torch.zeros(2), torch.zeros(3))
    assert tally.finding.verdict == "off"
    assert Tally().finding.verdict == "none"


def test_the_command_writes_both_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("steerlens.testing.architectures.examine", lambda family: Examined(family.name))
    assert main(["gemma 4", "--out", str(tmp_path / "table.md")]) == 0
    names = [row["name"] for row in json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["rows"]]
    assert names == [family.name for family in chosen(["Gemma 4"])]
    assert names[0] in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert names[0] in capsys.readouterr().out
    with pytest.raises(sl.errors.UnknownNameError):
        chosen(["no such"])
