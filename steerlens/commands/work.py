"""The commands that run a model on many items: demo, probe, sweep, search, align, plane."""

import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerlens.commands import arguments
from steerlens.data import ENGLISH, Items, Kind
from steerlens.data.parallel import ParallelCorpus, facts
from steerlens.data.splits import SHARES
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import Checkpoint, Method, Plane, Sweep
from steerlens.evaluation import plane as scored_plane
from steerlens.evaluation import search as run_search
from steerlens.evaluation import sweep as run_sweep
from steerlens.evaluation.extending import check_extend
from steerlens.evaluation.running import Running
from steerlens.evaluation.scores import AXES
from steerlens.options import settings_of
from steerlens.probing import matched, separability
from steerlens.results import Folder
from steerlens.settings import SearchSettings, StudySettings
from steerlens.steering import CONTRASTS, SteeringPlan, take
from steerlens.study import run_study
from steerlens.training import TrainingSettings

if TYPE_CHECKING:
    from steerlens.plotting import Figure

_KINDS: dict[str, Kind] = {"EN": "factual", "LOC": "cultural"}
"""The kind of items from which each vector is computed."""
_ENDS = 5
"""The number of loss values that are averaged at the beginning of a training run, and also at its end."""


def demo(args: Namespace) -> str:
    """Runs the complete study. Returns the table of results, the chosen plans, the findings and the path of the report."""
    items, locales = arguments.items(args)
    settings = arguments.study(args, locales)
    Folder.ready(args.out)
    found = run_study(arguments.model(args), items, settings, out=args.out, resume=args.resume)
    report = found.report(Path(args.out) / "report.html")
    plans = "\n".join(f"  {line}" for line in str(found.chosen).splitlines())
    said = "\n".join(f"  {sentence}" for sentence in found.found())
    return (
        f"\nOn test, mean over {', '.join(settings.locales)} (change relative to unsteered, with its paired 95% interval over "
        f"concepts):\n\n{_tables(found.plane)}\n\nPlans chosen on dev:\n{plans}\n\n"
        f"Found:\n{said}\n\n"
        f"{found.manifest['seconds']:.0f} seconds. Results in {args.out}. Report: {report.resolve()}"
    )


def probe(args: Namespace) -> str:
    """Measures at each layer how separable factual and cultural prompts are, for pairs of concepts with matched form."""
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
    """Sweeps one vector of one locale at many layers and strengths."""
    if args.vector not in _KINDS:
        raise UnknownNameError("vector", args.vector, _KINDS)
    folder = Folder.ready(args.out)
    items, (locale,) = arguments.items(args, (_KINDS[args.vector],), english=args.vector == "EN")
    settings = settings_of(StudySettings, args, locales=(locale,))
    check_extend(args.extend, settings.mode, settings.strengths)
    split = settings.parts(items)
    model = arguments.model(args)
    layers = settings.swept(model, least=1)
    vectors = take(model, split.train, [CONTRASTS[args.vector]], locales=[locale], positions=settings.positions)
    table = run_sweep(
        model,
        split.dev,
        vectors,
        layers,
        settings.strengths,
        mode=settings.mode,
        budget=settings.budget,
        extend=args.extend,
        tokens=settings.tokens,
        scoring=settings.scoring,
        resume=Running.in_folder(folder.path, resume=args.resume),
    )
    table.save(folder.path / "sweep.parquet")
    vectors.save(folder.path / "vectors.safetensors")
    scores = [score for score in AXES if score in table.scores]
    return "\n\n".join(_swept(table, args.vector, score, folder.path) for score in scores)


def _swept(table: Sweep, vector: str, score: str, folder: Path) -> str:
    """Returns the grid of one score as a text in which predicted cells have a mark, and the path of the figure."""
    cells = table.cells(score)
    texts = cells.assign(text=[f"{c.change:+.3f}{'' if c.exact else '~'}" for c in cells.itertuples()])
    grid = texts.pivot(index="layer", columns="strength", values="text").fillna("")
    marked = "" if cells["exact"].all() else "; ~: predicted, not run"
    said = f"unsteered {cells['base'].mean():.2f}, n = {cells['n'].max()} concepts{marked}"
    figure = _write(table.heatmap(vector, score), folder / f"{score}.html")
    return f"Change of {score} on dev, layer by strength ({said}):\n\n{grid.to_string()}\n\n{figure}"


def search(args: Namespace) -> str:
    """Chooses plans on train and dev. Returns the choices and their results on test."""
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
        shown = (
            f"On test, change relative to unsteered, with paired 95% intervals:\n\n{table.round(3).to_string(index=False)}\n\n"
        )
    return f"Chosen by {args.objective}:\n" + "\n".join(lines) + f"\n\n{shown}" + "\n".join(figures)


def align(args: Namespace) -> str:
    """Trains an adapter by a method of alignment. Returns the losses and the adapter's folder."""
    from steerlens import alignment

    items, locales = arguments.items(args)
    settings = settings_of(TrainingSettings, args)
    split = items.split(seed=settings.seed)
    held_out = Items((*split.dev, *split.test), "dev and test")
    corpus = ParallelCorpus.load(args.corpus) if args.corpus else facts(split.train).without_leaks(held_out)
    method = getattr(alignment, args.method)
    made = method(arguments.model(args), corpus, locales, out=args.out, settings=settings, held_out=held_out)
    ends = {part: (own.head(_ENDS).mean(), own.tail(_ENDS).mean()) for part, own in made.log.frame.groupby("part")["value"]}
    seen = "\n".join(f"  {part}: {first:.3f} to {last:.3f} nats" for part, (first, last) in ends.items())
    figure = _write(made.plot(), Path(args.out) / "training.html")
    return (
        f"{made.card.method} of {', '.join(locales)}: {settings.steps} steps in {made.card.seconds:.0f} seconds. Each part of "
        f"the loss, as the mean of the first and of the last {_ENDS} values:\n{seen}\n\nAdapter: "
        f"{made.folder.resolve()}\n{figure}\n\nTo place the adapter on the plane: "
        f"{shlex.join(_placing(args, locales[0], made.card.method))}"
    )


def _placing(args: Namespace, locale: str, name: str) -> list[str]:
    """Returns the command that places an adapter on the plane. The command uses the same items and seed, so the adapter is tested
    on items on which it was not trained."""
    given = {"model": args.model, "device": args.device, "dtype": args.dtype, "items": args.items, "seed": args.seed}
    own = [text for option, value in given.items() if value is not None for text in (f"--{option}", str(value))]
    return ["steerlens", "plane", *own, "--locale", locale, "--adapter", f"{name}={args.out}"]


def plane(args: Namespace) -> str:
    """Places saved plans and adapters on the plane, measured on the test part of the items. The test part has the same size as in
    ``search`` and ``align``, which use all other items. The test part of a study is larger and could therefore contain items on
    which a plan was chosen or an adapter was trained."""
    plans, adapters = named("plan", args.plan), named("adapter", args.adapter)
    if not plans and not adapters:
        raise SettingsError("no methods given: expected at least one --plan NAME=FILE or --adapter NAME=FOLDER.")
    if twice := sorted(set(plans) & set(adapters)):
        raise SettingsError(f"the name {twice[0]!r} is given to both a plan and an adapter. Give each method a different name.")
    folder = Folder.ready(args.out)
    items, (locale,) = arguments.items(args, (), english=False)
    methods: dict[str, Any] = {name: {locale: SteeringPlan.load(file)} for name, file in plans.items()}
    methods |= {name: _adapter(path) for name, path in adapters.items()}
    settings = settings_of(StudySettings, args, locales=(locale,), shares=SHARES)
    test = settings.parts(items).test
    running = Running.in_folder(folder.path, resume=args.resume)
    table = scored_plane(arguments.model(args), test, methods, locales=[locale], **settings.beside(), resume=running)
    table.save(folder.path / "plane.parquet")
    figure = _write(table.plot(), folder.path / "plane.html")
    return f"On test, {locale}:\n\n{_tables(table, locale)}\n\n{figure}"


def _tables(plane: Plane, locale: str | None = None) -> str:
    """Returns the table of a transfer-localization plane as text. If side effects were measured, a second table follows."""
    answers, effects = (table.to_string(index=False) if len(table) else "" for table in plane.summaries(locale))
    return f"{answers}\n\nSide effects:\n\n{effects}" if effects else answers


def named(what: str, given: list[str]) -> dict[str, str]:
    """Returns the values of an option that may be given several times, by name.

    Args:
        what: the name of the option.
        given: the values of the option, each in the form NAME=FILE.

    Raises:
        SettingsError: a value has no name, or a name is given twice.
    """
    named = [text.partition("=") for text in given]
    if any(not name or not file for name, _, file in named):
        raise SettingsError(f"--{what} {given} given: expected NAME=FILE, for example surgical=plan.safetensors.")
    if len({name for name, _, _ in named}) < len(named):
        raise SettingsError(f"--{what} {given} given: two {what}s have the same name. Give each {what} a different name.")
    return {name: file for name, _, file in named}


def _adapter(folder: str) -> Method:
    """Returns the adapter in a folder as a method. An adapter that ``align`` made is used only on the model on which it was
    trained."""
    from steerlens.alignment import CARD, Aligned

    path = Path(folder).expanduser()
    if (path / CARD).is_file():
        return Aligned.load(path)
    if not (path / "adapter_config.json").is_file():
        raise SettingsError(f"--adapter {folder} given: expected the folder of an adapter, which contains adapter_config.json.")
    if (path.parent.parent / CARD).is_file() and (found := Aligned.load(path.parent.parent).at(path)) is not None:
        return found
    return Checkpoint(path)


def _write(figure: "Figure", path: Path) -> str:
    """Writes a figure as HTML that can be opened without a network, and returns a line with its path."""
    return f"Figure: {figure.save(path).resolve()}"
