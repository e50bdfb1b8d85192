"""The embedded model used as a user would: by command line, twice, and in the notebooks."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import steerlens as sl
from steerlens.cli import main
from steerlens.plotting import Figure

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
README = ROOT / "README.md"


@pytest.fixture(scope="module")
def few_items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve concepts of each kind of the atlas, written as a user's own file."""
    path = tmp_path_factory.mktemp("items") / "few.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for item in sl.data.atlas(["es-ES"]).sample(12):
            row = {"concept": item.concept, "kind": item.kind, "locale": item.locale, "question": item.question}
            if item.kind == "factual":
                row |= {"choices": item.choices, "answer": item.choices[item.answer]}
            else:
                row |= {"explicit": item.explicit, "answers": item.answers}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def test_demo_then_steer(
    gemma: sl.LensModel, few_items: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole chain at a small size, and a plan of its used from the command line."""
    monkeypatch.setattr("steerlens.commands.arguments.load", lambda *_, **__: gemma)  # loaded once for all tests
    grid = ["--locales", "es-ES", "--layers", "5,14", "--strengths", "1"]
    assert main(["demo", "--items", str(few_items), *grid, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "surgical" in printed
    assert str(tmp_path / "report.html") in printed
    assert "Gemma Terms of Use" in (tmp_path / "report.html").read_text(encoding="utf-8")
    study = sl.Study.load(tmp_path)
    assert study.manifest["model"]["name"] == "gemma-3-270m"
    plan = str(tmp_path / "plans" / "surgical-es-ES.safetensors")
    assert main(["steer", "--plan", plan, "--prompt", "Pregunta: ¿Qué se desayuna?\nRespuesta:", "--max-new-tokens", "8"]) == 0
    assert "│" in capsys.readouterr().out


def test_the_readme_s_python_runs_as_it_is(gemma: sl.LensModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer concepts, and figures that are not opened."""
    shown: list[Figure] = []
    monkeypatch.setattr(sl, "load", lambda *_: gemma)
    monkeypatch.setattr(Figure, "show", lambda fig: shown.append(fig))
    code = README.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(code.replace("sample(60)", "sample(6)").replace("sample(12)", "sample(2)"), {})
    assert len(shown) == code.count(".show()") > 0


def test_the_readme_s_steered_answer_is_what_it_says(gemma: sl.LensModel) -> None:
    """With the vectors of its own block: the unsteered model pays in dollars in Spanish, and the steered one in euros."""
    code = README.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    (question,) = re.findall(r'question = "(.*?)"', code)
    unsteered, steered = re.findall(r"model.generate\(question, 10, .*\)\)  # (.*)", code)
    (expression,) = re.findall(r"plan = (.*)", code)
    vectors = sl.steering.take(gemma, sl.data.atlas(locales=["es-ES"]).split(seed=0).train.sample(60))
    plan, prompt = eval(expression, {"vectors": vectors}), question.replace("\\n", "\n")
    assert gemma.generate(prompt, 10, stop="\n").strip() == unsteered
    with plan.applied(gemma):
        assert gemma.generate(prompt, 10, stop="\n").strip() == steered
    assert "dólar" in unsteered
    assert "euro" in steered


def test_second_start_reads_the_cache() -> None:
    """A new process finds the converted model: nothing is converted, and the weights are the same."""
    script = "import steerlens as sl; print(sl.load('gemma-3-270m').fingerprint.weights)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert "Converting" not in done.stderr
    assert done.stdout.strip() == sl.load("gemma-3-270m").fingerprint.weights


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom, in a copy and in a folder of its own."""
    monkeypatch.setenv("PLOTLY_RENDERER", "plotly_mimetype")  # as in JupyterLab: nothing draws pictures here
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    figures = [
        out
        for cell in notebook.cells
        for out in cell.get("outputs", ())
        if "application/vnd.plotly.v1+json" in out.get("data", {})
    ]
    assert figures, "a notebook without a figure"


@pytest.mark.parametrize(
    ("name", "until", "outputs"), [("start.md", "## Sweep", 3), ("howto/own-contrast.md", "Six pairs are enough", 1)]
)
def test_pages_print_what_they_show(
    gemma: sl.LensModel, name: str, until: str, outputs: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A page's code up to its first steered text, on the real model; its figures are tested elsewhere."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8").split(until)[0]
    blocks = re.findall(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", page, flags=re.DOTALL)
    monkeypatch.setattr(sl, "load", lambda _: gemma)
    compared, names = 0, {"sl": sl, "model": gemma}
    for code, shown in blocks:
        if "separability" not in code:
            tree = ast.parse(code)
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, name, "exec"), names)
            value = None if last is None else eval(ast.unparse(last), names)
            printed = capsys.readouterr().out + ("" if value is None else repr(value))
            parts = [re.escape(" ".join(part.split())) for part in shown.split("…")]
            assert re.search(".*".join(parts), " ".join(printed.split())), printed
            compared += bool(shown)
    assert compared == outputs
