"""Commands that run a model over many items: demo, probe, sweep, search, plane."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from steerlens import study
from steerlens.commands import arguments
from steerlens.data import ENGLISH, atlas
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import SearchSettings, Sweep
from steerlens.evaluation import plane as scored_plane
from steerlens.evaluation import search as run_search
from steerlens.evaluation import sweep as run_sweep
from steerlens.probing import matched, separability
from steerlens.results import Folder
from steerlens.steering import CONTRASTS, SteeringPlan, take

if TYPE_CHECKING:
    from steerlens.plotting import Figure


def demo(args: Namespace) -> str:
    """The whole chain; ends with the table and the report's path."""
    own = arguments.items(args)
    settings = study.StudySettings(
        locales=arguments.locales(args.locales, own.locales if own else None),
        layers=arguments.layers(args.layers),
        strengths=arguments.listed(args.strengths, "strengths", float),
        mode=args.mode,
        train_concepts=arguments.concepts(args.train_concepts, "train"),
        dev_concepts=arguments.concepts(args.dev_concepts, "dev"),
        test_concepts=arguments.concepts(args.test_concepts, "test"),
        tokens=args.tokens,
        positions=arguments.positions(args.positions),
        controls=args.controls,
        side_effects=args.side_effects,
        seed=args.seed,
    )
    Folder.ready(args.out)
    found = study.run_study(arguments.model(args), own, settings, out=args.out)
    report = found.report(Path(args.out) / "report.html")
    plans = "\n".join(f"  {line}" for line in str(found.chosen).splitlines())
    return (
        f"\nOn test, mean over {', '.join(settings.locales)} (change against unsteered, paired 95% interval over concepts):\n\n"
        f"{found.summary().to_string(index=False)}\n\nPlans chosen on dev:\n{plans}\n\n"
        f"{found.manifest['seconds']:.0f} seconds. Results in {args.out}. Report: {report.resolve()}"
    )


def probe(args: Namespace) -> str:
    """Separability by layer of the atlas's prompts, of concepts matched in form."""
    folder = Folder.ready(args.out)
    chosen = arguments.locales(args.locales)
    items = matched(atlas(chosen))
    positions = arguments.positions(args.positions)
    table = separability(arguments.model(args).residuals(items.prompts(), positions=positions))
    table.save(folder.path / "separability.parquet")
    figure = _write(table.plot(locale="all"), folder.path / "separability.html")
    shown = table.frame[(table.frame["locale"] == "all") & table.frame["auroc"].notna()]
    pivot = shown.pivot_table(index="layer", columns="probe", values="auroc", sort=False)
    title = f"Held-out AUROC by layer, {', '.join((ENGLISH, *chosen))} together (layer -1: the text itself):"
    return f"{title}\n\n{pivot.round(3).to_string(na_rep='')}\n\n{figure}"


def sweep(args: Namespace) -> str:
    """One vector of one locale at many layers and strengths."""
    if args.vector not in CONTRASTS:
        raise UnknownNameError("vector", args.vector, CONTRASTS)
    folder = Folder.ready(args.out)
    split = atlas([args.locale]).split(seed=args.seed)
    strengths = arguments.listed(args.strengths, "strengths", float)
    layers, few = arguments.layers(args.layers), arguments.concepts(args.dev_concepts, "dev")
    model = arguments.model(args)
    vectors = take(model, split.train, [CONTRASTS[args.vector]], locales=[args.locale])
    swept = study.StudySettings(layers=layers).swept(model) if isinstance(layers, str) else layers
    dev = split.dev.sample(few, seed=args.seed)
    table = run_sweep(model, dev, vectors, swept, strengths, mode=args.mode, tokens=args.tokens)
    table.save(folder.path / "sweep.parquet")
    vectors.save(folder.path / "vectors.safetensors")
    return "\n\n".join(_swept(table, args.vector, score, folder.path) for score in ("transfer", "localization"))


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
    own, folder = arguments.items(args), Folder.ready(args.out)
    locales = arguments.locales(args.locales, own.locales if own else None)
    split = (own or atlas(locales)).split(seed=args.seed)
    few, tested = (arguments.concepts(getattr(args, f"{part}_concepts"), part) for part in ("dev", "test"))
    settings = SearchSettings(dev_concepts=few, test_concepts=tested, seed=args.seed)
    found = run_search(arguments.model(args), split, locales, args.objective, settings=settings)
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
    folder = Folder.ready(args.out)
    plans = {name: {args.locale: SteeringPlan.load(file)} for name, _, file in named}
    items = atlas([args.locale]).split(seed=args.seed).test
    beside = {"controls": args.controls, "side_effects": args.side_effects}
    table = scored_plane(arguments.model(args), items, plans, **beside, seed=args.seed)
    table.save(folder.path / "plane.parquet")
    figure = _write(table.plot(), folder.path / "plane.html")
    return f"On test, {args.locale}:\n\n{table.summary(args.locale).to_string(index=False)}\n\n{figure}"


def _write(figure: "Figure", path: Path) -> str:
    """Writes a figure as HTML that opens offline."""
    return f"Figure: {figure.save(path).resolve()}"
