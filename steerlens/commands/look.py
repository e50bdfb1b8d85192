"""Commands that show something: steer, models, data."""

import shutil
import unicodedata
from argparse import Namespace

from steerlens.commands import arguments
from steerlens.data import Item, atlas
from steerlens.models import EMBEDDED, cache_folder
from steerlens.models.gguf import is_converted
from steerlens.steering import SteeringPlan


def steer(args: Namespace) -> str:
    """The continuation before and after, side by side."""
    plan = SteeringPlan.load(args.plan)
    model = arguments.model(args)
    plan.check(model)
    before = model.generate(args.prompt, args.max_new_tokens)
    with plan.applied(model):
        after = model.generate(args.prompt, args.max_new_tokens)
    shown = f"\n\n{plan.show(model, args.prompt)}" if args.show else ""
    return f"{args.prompt}\n\n{side_by_side('unsteered', before, str(plan), after)}{shown}"


def models(args: Namespace) -> str:  # noqa: ARG001 (every command takes the arguments)
    """The embedded models."""
    lines = [f"Cache: {cache_folder()}", ""]
    for model in EMBEDDED.values():
        state = "converted, in the cache" if is_converted(model) else "converted at its first use, about a minute"
        lines.append(f"{model.name}\n  {model.description}\n  licence: {model.licence}\n  package: {model.package}\n  {state}")
    lines.append("\nAny other model: a Hugging Face id, a folder in its layout, or a .gguf file.")
    return "\n".join(lines)


def data(args: Namespace) -> str:
    """Counts, and the items asked for."""
    items = arguments.items(args) or atlas()
    lines = [f"{items!r}"]
    for locale in items.locales if args.locale is None else [args.locale]:
        part = items.of(locale=locale)
        lines.append(f"{locale}: {len(part.of(kind='factual'))} factual, {len(part.of(kind='cultural'))} cultural items")
    if args.locale or args.kind:
        chosen = items.of(locale=args.locale, kind=args.kind)
        lines += ["", *(_described(item) for item in list(chosen)[: args.n])]
    return "\n".join(lines)


def _described(item: Item) -> str:
    owners = [", ".join(own) for own in item.owners] or [""] * len(item.choices)
    marks = ["*" if at == item.answer else " " for at in range(len(item.choices))]
    listed = [f"  {mark} {choice}  {owner}".rstrip() for mark, choice, owner in zip(marks, item.choices, owners, strict=True)]
    explicit = [f"  explicit: {item.explicit}"] if item.explicit else []
    return "\n".join([f"{item.concept} ({item.kind}, {item.topic}, {item.locale})", f"  {item.question}", *explicit, *listed])


def side_by_side(left_title: str, left: str, right_title: str, right: str, width: int | None = None) -> str:
    """Two texts in two columns as wide as the terminal allows."""
    total = width or shutil.get_terminal_size((100, 24)).columns
    column = max(16, (total - 3) // 2)
    columns = [
        [*_wrap(title, column), "─" * column, *_wrap(text, column)] for title, text in ((left_title, left), (right_title, right))
    ]
    height = max(map(len, columns))
    padded = [[*lines, *[""] * (height - len(lines))] for lines in columns]
    return "\n".join(f"{a}{' ' * (column - _width(a))} │ {b}".rstrip() for a, b in zip(*padded, strict=True))


def _wrap(text: str, width: int) -> list[str]:
    """Lines no wider than a column, counting a Chinese or Korean character as two places."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _words(paragraph):
            if line and _width(line + word) > width:
                lines.append(line.rstrip())
                line = word.lstrip()
            else:
                line += word
        lines.append(line.rstrip())
    return lines


def _words(text: str) -> list[str]:
    """Pieces a line may be broken between: after spaces, and around wide characters, which are written without them."""
    words = [""]
    for character in text:
        if words[-1] and (words[-1][-1] == " " or _width(character) == 2 or _width(words[-1][-1]) == 2):
            words.append("")
        words[-1] += character
    return words


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
