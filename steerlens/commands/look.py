"""The commands that show texts and data: steer, models, data."""

import logging
import shutil
from argparse import Namespace

from wcwidth import ljust, wrap

from steerlens.commands import arguments
from steerlens.data import KINDS, Item, Items, atlas, check, load_items
from steerlens.data.locales import next_question
from steerlens.errors import DataError, UnknownNameError
from steerlens.evaluation.scores import repeated
from steerlens.models import EMBEDDED, LensModel, cache_folder
from steerlens.models.gguf import is_converted
from steerlens.probing import form_separability, matched
from steerlens.steering import SteeringPlan

log = logging.getLogger("steerlens")

_ENOUGH = 10
"""The smallest number of factual and of cultural concepts with which ``steerlens data check`` measures how well the form of
prompts distinguishes the two kinds."""
_REPEATS = 0.2
"""A share of four-token sequences that occurred earlier in the same text. From this share on, a text counts as repetitive."""


def steer(args: Namespace) -> str:
    """Returns the continuations before and after steering, side by side. A warning follows if the steered texts repeat
    themselves."""
    plan = SteeringPlan.load(args.plan)
    model = arguments.model(args)
    plan.check(model)
    if not plan.steps:
        log.warning("%s steers nothing, because the plan has no steps: both texts are unsteered", args.plan)
    before = _continuations(model, args)
    with plan.applied(model):
        after = _continuations(model, args)
    pairs = [side_by_side("unsteered", one, str(plan), other) for one, other in zip(before, after, strict=True)]
    shown = [str(plan.show(model, args.prompt))] if args.show else []
    return "\n\n".join([args.prompt, *pairs, *_repeats(model, before, after), *shown])


def _repeats(model: LensModel, before: list[str], after: list[str]) -> list[str]:
    """Returns a list with a warning if the steered texts repeat themselves more than the unsteered texts, and an empty list
    otherwise."""
    unsteered, steered = (
        sum(repeated(model.tokenizer.ids(text)) for text in texts if text) / len(texts) for texts in (before, after)
    )
    if steered < _REPEATS or steered <= unsteered:
        return []
    return [
        f"Warning: the steered text repeats itself ({steered:.0%} of its four-token sequences occurred earlier in it, "
        f"{unsteered:.0%} "
        f"in the unsteered text). The plan is too strong for this prompt. Try a weaker plan."
    ]


def _continuations(model: LensModel, args: Namespace) -> list[str]:
    """Returns the requested number of texts that the model writes after the prompt."""
    drawn = {"sample": args.sample, "temperature": args.temperature, "n": args.n, "seed": args.seed}
    stop = args.stop or next_question(args.prompt)
    texts: str | list[str] = model.generate(args.prompt, args.max_new_tokens, stop=stop, **drawn)
    return [texts] if isinstance(texts, str) else texts


def models(args: Namespace) -> str:  # noqa: ARG001 (every command takes the arguments)
    """Returns a table of the models that can be installed with steerlens as Python packages."""
    lines = [f"Cache: {cache_folder()}", ""]
    for model in EMBEDDED.values():
        state = "converted, in the cache" if is_converted(model) else "converted at the first use, which takes about a minute"
        lines.append(f"{model.name}\n  {model.description}\n  licence: {model.licence}\n  package: {model.package}\n  {state}")
    lines.append("\nOther models also work: give a Hugging Face id, a folder in the Hugging Face layout, or a .gguf file.")
    return "\n".join(lines)


def data(args: Namespace) -> str:
    """Returns counts, the requested items, or the result of a check of all items."""
    forms = {"wordings": args.wordings, "cloze": args.cloze}
    items = load_items(args.items, **forms) if args.items else atlas(min_votes=args.min_votes, **forms)
    if args.topic is not None:
        items = _of_topic(items, args.topic)
    if args.locale is not None or args.kind is not None:
        items = items.of(locale=args.locale, kind=args.kind)
    if not len(items):
        raise DataError(
            f"no items match topic {args.topic!r}, kind {args.kind!r} and locale {args.locale!r}. Remove or change one of "
            "these filters."
        )
    return {"count": _counted, "show": _shown, "check": _checked}[args.action](items, args)


def _of_topic(items: Items, topic: str) -> Items:
    known = sorted({item.topic for item in items})
    if topic not in known:
        raise UnknownNameError("topic", topic, known)
    return items.where(lambda item: item.topic == topic)


def _counted(items: Items, args: Namespace) -> str:  # noqa: ARG001 (every action takes the arguments)
    """Returns the numbers of concepts by locale and kind, and by topic and source."""
    import pandas as pd

    frame = pd.DataFrame([(i.locale, i.kind, i.topic, i.source.split(" ")[0].rstrip(","), i.concept) for i in items])
    frame.columns = ["locale", "kind", "topic", "source", "concept"]
    by_locale = frame.groupby(["locale", "kind"], sort=False).size().unstack(fill_value=0)
    by_locale = by_locale.assign(**{"people asked": [_asked(items, code) for code in by_locale.index]})
    by_topic = frame.drop_duplicates("concept").groupby(["kind", "topic", "source"]).size().rename("concepts").reset_index()
    left_out = "".join(f"\n{what}: {n}" for what, n in items.notes.items() if n)
    return f"{items!r}{left_out}\n\n{by_locale.to_string()}\n\n{by_topic.to_string(index=False)}"


def _asked(items: Items, code: str) -> int:
    """Returns the number of items of a locale whose question was part of a survey."""
    return sum(item.evidence is not None for item in items.of(locale=code))


def _shown(items: Items, args: Namespace) -> str:
    """Returns a description of some items, which are evenly spread over all items. Each item is shown with its choices and its
    source."""
    step = max(1, len(items) // max(1, args.n))
    return "\n\n".join(_described(item) for item in list(items)[::step][: args.n])


def _checked(items: Items, args: Namespace) -> str:
    """Raises an error that lists all problems. If there are no problems, returns a text that says how well the form of prompts
    alone distinguishes factual from cultural prompts."""
    problems = check(items, least_choices=2 if args.items else 3)
    if problems:
        listing = "\n".join(f"  {problem}" for problem in problems)
        n = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise DataError(f"{n} in {items.name}. Correct these problems:\n{listing}")
    said = f"No problems in {len(items)} items of {len(items.locales)} locales."
    if min(len(items.of(kind=kind).concepts) for kind in KINDS) < _ENOUGH:
        return f"{said} There are too few concepts of one kind to measure how well form distinguishes the kinds."
    columns = ["locale", "auroc", "length_factual", "length_cultural", "concepts"]
    whole, pairs = form_separability(items).frame[columns].round(2), matched(items)
    if len(pairs.concepts) < 2 * _ENOUGH:
        alike = f"{len(pairs.concepts) // 2} pairs of concepts are similar in form, which are too few for a measurement."
    else:
        table = form_separability(pairs).frame[columns].round(2)
        alike = f"Pairs matched in form (sl.probing.matched):\n{table.to_string(index=False)}"
    return (
        f"{said}\n\nHow well character n-grams distinguish factual from cultural prompts (held-out AUROC, folds by concept; 0.5 "
        "is "
        f"chance), and mean characters of a question.\n\nAll concepts:\n{whole.to_string(index=False)}\n\n{alike}"
    )


def _described(item: Item) -> str:
    owners = [", ".join(own) for own in item.owners] or [""] * len(item.choices)
    marks = ["*" if at == item.answer else " " for at in range(len(item.choices))]
    names = [" / ".join(item.names(at)) for at in range(len(item.choices))]
    listed = [f"  {mark} {own}  {owner}".rstrip() for mark, own, owner in zip(marks, names, owners, strict=True)]
    explicit = [f"  explicit: {item.explicit}"] if item.explicit else []
    heading = f"{item.concept} ({item.kind}, {item.topic}, {item.locale})"
    source = [f"  source: {item.source}"] if item.source else []
    if item.evidence:
        asked = (
            f"{item.evidence.votes} of {item.evidence.annotators} gave this answer; {item.evidence.most} gave the most frequent "
            "one"
        )
        source.append(f"  {item.evidence.source}: {asked}")
    return "\n".join([heading, f"  {item.question}", *explicit, *listed, *source])


def side_by_side(left_title: str, left: str, right_title: str, right: str, width: int | None = None) -> str:
    """Returns two texts in two columns that fill the width of the terminal."""
    total = width or shutil.get_terminal_size((100, 24)).columns
    column = max(16, (total - 3) // 2)
    columns = [
        [*_wrap(title, column), "─" * column, *_wrap(text, column)] for title, text in ((left_title, left), (right_title, right))
    ]
    height = max(map(len, columns))
    even = [[*lines, *[""] * (height - len(lines))] for lines in columns]
    return "\n".join(f"{ljust(a, column)} │ {b}".rstrip() for a, b in zip(*even, strict=True))


def _wrap(text: str, places: int) -> list[str]:
    """Returns the lines of a text that is wrapped to the width of a column. A Chinese or Korean character counts as two
    places."""
    return [line for paragraph in text.split("\n") for line in wrap(paragraph, places) or [""]]
