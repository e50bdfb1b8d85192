"""The harness of architectures: right models come out right, and a planted fault is seen."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES

import steerlens as sl
from steerlens.activations import ResidualStack
from steerlens.evaluation import Scorer
from steerlens.models.batches import Row
from steerlens.models.roles import LAST, PROMPT
from steerlens.testing import FAMILIES, behaviour, checks
from steerlens.testing.architectures import chosen, examine, examine_all, main
from steerlens.testing.bench import Bench
from steerlens.testing.findings import Finding, Tally, Verdict
from steerlens.testing.folders import write_model
from steerlens.testing.page import listed, write_page
from steerlens.testing.tables import COLUMNS, Examined, markdown, summary

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"
NO_DECODERS = {
    *("BertForMaskedLM", "BertLMHeadModel", "RobertaForMaskedLM"),  # encoders
    *("DeiTForImageClassification", "DeiTModel", "ViTForImageClassification", "ViTModel", "ASTForAudioClassification"),
    *("HubertForCTC", "HubertModel", "Wav2Vec2ForCTC", "Wav2Vec2ForPreTraining", "Wav2Vec2Model"),
    *("BartForConditionalGeneration", "BlenderbotForConditionalGeneration", "Florence2ForConditionalGeneration"),
    *("LEDForConditionalGeneration", "LongT5ForConditionalGeneration", "M2M100ForConditionalGeneration", "MarianMTModel"),
    *("MBartForConditionalGeneration", "MT5ForConditionalGeneration", "PegasusForConditionalGeneration"),
    *("SwitchTransformersForConditionalGeneration", "T5ForConditionalGeneration", "T5WithLMHeadModel"),
    *("T5Gemma2ForConditionalGeneration", "T5GemmaForConditionalGeneration"),
    "BloomModel",  # without a head
}
"""What both libraries have and is no decoder-only language model."""
CONTROLS = ("Gemma 3", "GPT-2")


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


def test_the_page_lists_every_family() -> None:
    assert listed(PAGE) == [family.name for family in FAMILIES]


def test_every_decoder_of_both_libraries_is_a_family() -> None:
    """Whoever takes a newer TransformerLens adds its architectures in ``dense.py``, ``mixed.py`` or ``composed.py``."""
    shared = {name for name in SUPPORTED_ARCHITECTURES if hasattr(transformers, name)}
    assert shared - {family.model for family in FAMILIES} <= NO_DECODERS


def test_rows_are_put_into_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, right = tmp_path / "page.md", {name: Finding("ok") for name in COLUMNS}
    page.write_text("# Before\n<!-- architectures: x -->\n<!-- /architectures -->\nAfter\n", encoding="utf-8")
    refused = {
        **right,
        "sweep": Finding("refused", "not (so). (all alone (one plan), prompt)"),
        "hits": Finding("refused", "not (so)."),
    }
    write_page([Examined("Qwen 2", findings=right), Examined("GPT-2", findings=refused)], page)
    write_page([Examined("Llama", findings={"load": Finding("refused", "a | b")}), Examined("Qwen 2", findings=right)], page)
    text = page.read_text(encoding="utf-8")
    assert listed(page) == ["Llama", "Qwen 2", "GPT-2"]
    assert "3 models: 1 right in every check, 1 refused in some of them, 1 not loaded, 0 wrong in something." in text
    assert "- **Llama**, load refused: a | b\n- **GPT-2**, sweep, hits refused: not (so).\n<!-- /architectures -->\nAfter" in text
    monkeypatch.setattr(
        "steerlens.testing.page.provenance",
        lambda: {"versions": dict.fromkeys(("transformer-lens", "transformers", "torch"), "9")},
    )
    with pytest.raises(sl.errors.SettingsError, match="other versions"):
        write_page([Examined("Llama", findings=right)], page)
    with pytest.raises(sl.errors.SettingsError, match=r"expected docs/architectures\.md"):
        write_page([], Path(__file__))


def test_a_setting_that_hugging_face_itself_gets_wrong_for_one_prompt_is_not_compared(
    gpt2: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [behaviour._by_hand(gpt2, text, None, "all") for text in behaviour.TEXTS]
    assert behaviour._takes(gpt2, {"use_cache": False}, plain)
    assert not behaviour._takes(gpt2, {"use_cache": False}, [*plain[:-1], "another text"])


@pytest.mark.parametrize(("verdict", "status"), [("ok", 0), ("refused", 0), ("off", 1), ("error", 1)])
def test_the_command_fails_where_something_is_wrong(verdict: Verdict, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal in words is not wrong."""
    found = {"load": Finding("ok"), "residuals": Finding(verdict)}
    monkeypatch.setattr("steerlens.testing.architectures.examine", lambda family: Examined(family.name, findings=found))
    assert main(["gemma 4"]) == status


def test_the_command_writes_both_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("steerlens.testing.architectures.examine", lambda family: Examined(family.name))
    assert main(["gemma 4", "--out", str(tmp_path / "table.md")]) == 0
    names = [row["name"] for row in json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["rows"]]
    assert names == [family.name for family in chosen(["Gemma 4"])]
    assert names[0] in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert names[0] in capsys.readouterr().out
    with pytest.raises(sl.errors.UnknownNameError):
        chosen(["no such"])
