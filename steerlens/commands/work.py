"""Commands that run a model over many items: demo, probe, sweep, search, plane."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerlens.commands import arguments
from steerlens.data import ENGLISH, Kind
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import Sweep
from steerlens.evaluation import plane as scored_plane
from steerlens.evaluation import search as run_search
from steerlens.evaluation import sweep as run_sweep
from steerlens.evaluation.running import Running
from steerlens.evaluation.scores import AXES
from steerlens.options import settings_of
from steerlens.probing import matched, separability
from steerlens.results import Folder
from steerlens.settings import SearchSettings, StudySettings
from steerlens.steering import CONTRASTS, SteeringPlan, take
from steerlens.study import run_study

if TYPE_CHECKING:
    from steerlens.plotting import Figure

_KINDS: dict[str, Kind] = {"EN": "factual", "LOC": "cultural"}
"""The kind of items that each vector is taken from."""


def demo(args: Namespace) -> str:
    """The whole chain; ends with the table and the report's path."""
    items, locales = arguments.items(args)
    settings = settings_of(StudySettings, args, locales=locales)
    Folder.ready(args.out)
    found = run_study(arguments.model(args), items, settings, out=args.out, resume=args.resume)
    report = found.report(Path(args.out) / "report.html")
    plans = "\n".join(f"  {line}" for line in str(found.chosen).splitlines())
    said = "\n".join(f"  {sentence}" for sentence in found.found())
    return (
        f"\nOn test, mean over {', '.join(settings.locales)} (change against unsteered, paired 95% interval over concepts):\n\n"
        f"{found.summary().to_string(index=False)}\n\nPlans chosen on dev:\n{plans}\n\n"
        f"Found:\n{said}\n\n"
        f"{found.manifest['seconds']:.0f} seconds. Results in {args.out}. Report: {report.resolve()}"
    )


def probe(args: Namespace) -> str:
    """Separability by layer of the items' prompts, of concepts matched in form."""
    folder = Folder.ready(args.out)
    items, locales = arguments.items(args)
    settings = settings_of(StudySettings, args, locales=locales)
    pairs = matched(items, seed=settings.seed)
    stack = arguments.model(args).residuals(pairs.prompts(), positions=settings.positions)
    table = separability(stack, seed=settings.seed)
    table.save(folder.path / "separability.parquet")
    figure = _write(table.plot(locale="all"), folder.path / "separability.html")
    shown = table.frame[(table.frame["locale"] == "all") & table.frame["auroc"].notna()]
    pivot = shown.pivot_table(index="layer", columns="probe", values="auroc", sort=False)
    title = f"Held-out AUROC by layer, {', '.join((ENGLISH, *locales))} together (layer -1: the text itself):"
    return f"{title}\n\n{pivot.round(3).to_string(na_rep='')}\n\n{figure}"


def sweep(args: Namespace) -> str:
    """One vector of one locale at many layers and strengths."""
    if args.vector not in _KINDS:
        raise UnknownNameError("vector", args.vector, _KINDS)
    folder = Folder.ready(args.out)
    items, (locale,) = arguments.items(args, (_KINDS[args.vector],), english=args.vector == "EN")
    settings = settings_of(StudySettings, args, locales=(locale,))
    split = settings.parts(items)
    model = arguments.model(args)
    vectors = take(model, split.train, [CONTRASTS[args.vector]], locales=[locale], positions=settings.positions)
    layers = settings.swept(model, least=1)
    table = run_sweep(
        model,
        split.dev,
        vectors,
        layers,
        settings.strengths,
        mode=settings.mode,
        budget=settings.budget,
        tokens=settings.tokens,
        scoring=settings.scoring,
        resume=Running.in_folder(folder.path, resume=args.resume),
    )
    table.save(folder.path / "sweep.parquet")
    vectors.save(folder.path / "vectors.safetensors")
    scores = [score for score in AXES if score in table.scores]
    return "\n\n".join(_swept(table, args.vector, score, folder.path) for score in scores)


def _swept(table: Sweep, vector: str, score: str, folder: Path) -> str:
    """One score's grid, predicted cells marked, and its figure."""
    cells = table.cells(score)
    texts = cells.assign(text=[f"{c.change:+.3f}{'' if c.exact else '~'}" for c in cells.itertuples()])
    grid = texts.pivot(index="layer", columns="strength", values="text")
    marked = "" if cells["exact"].all() else "; ~ is predicted, not run"
    said = f"unsteered {cells['base'].mean():.2f}, n = {cells['n'].max()} concepts{marked}"
    figure = _write(table.heatmap(vector, score), folder / f"{score}.html")
    return f"Change of {score} on dev, layer by strength ({said}):\n\n{grid.to_string()}\n\n{figure}"


def search(args: Namespace) -> str:
    """Chooses plans on train and dev; ends with the choices, and what they do on test."""
    folder = Folder.ready(args.out)
    items, locales = arguments.items(args)
    settings = settings_of(SearchSettings, args)
    split, running = items.split(seed=settings.seed), Running.in_folder(folder.path, resume=args.resume)
    found = run_search(arguments.model(args), split, locales, args.objective, settings=settings, resume=running)
    found.save(folder.path)
    lines = [f"  {locale:<6} {choice.name:<9} {choice}" for locale, each in found.choices.items() for choice in each.values()]
    figures = [_write(found.plot(), folder.path / "tried.html")]
    shown = ""
    if found.tested is not None:
        figures.append(_write(found.tested.plot(), folder.path / "tested.html"))
        table = found.tested.frame[["choice", "method", "locale", "score", "n", "value", "change", "low", "high", "p"]]
        shown = f"On test, against unsteered, with paired 95% intervals:\n\n{table.round(3).to_string(index=False)}\n\n"
    return f"Chosen by {args.objective}:\n" + "\n".join(lines) + f"\n\n{shown}" + "\n".join(figures)


def plane(args: Namespace) -> str:
    """Saved plans on the test part of the atlas."""
    named = [text.partition("=") for text in args.plan]
    if any(not name or not file for name, _, file in named):
        raise SettingsError(f"--plan {args.plan} given: expected NAME=FILE, as in surgical=plan.safetensors.")
    if len({name for name, _, _ in named}) < len(named):
        raise SettingsError(f"--plan {args.plan} given: a name stands for two plans. Give each plan a name of its own.")
    folder = Folder.ready(args.out)
    items, (locale,) = arguments.items(args, (), english=False)
    plans = {name: {locale: SteeringPlan.load(file)} for name, _, file in named}
    settings = settings_of(StudySettings, args, locales=(locale,))
    test = settings.parts(items).test
    beside: dict[str, Any] = {"controls": settings.controls, "side_effects": settings.side_effects, "seed": settings.seed}
    running = Running.in_folder(folder.path, resume=args.resume)
    table = scored_plane(arguments.model(args), test, plans, **beside, resume=running)
    table.save(folder.path / "plane.parquet")
    figure = _write(table.plot(), folder.path / "plane.html")
    return f"On test, {locale}:\n\n{table.summary(locale).to_string(index=False)}\n\n{figure}"


def _write(figure: "Figure", path: Path) -> str:
    """Writes a figure as HTML that opens offline."""
    return f"Figure: {figure.save(path).resolve()}"
