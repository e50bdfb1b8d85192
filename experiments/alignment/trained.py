"""The adapters of the alignment experiment, each trained in a folder from which an ended run goes on."""

from collections.abc import Mapping
from typing import Any

import steerlens as sl
from experiments.common import Context
from experiments.steps import Source
from steerlens.alignment import Aligned, Keep, TrainingSettings
from steerlens.data.parallel import ParallelCorpus, culture, facts

MIDALIGN, CONTROL = "MidAlign", "continued training"
KEPT, MIXED = f"{MIDALIGN}, local kept", f"{MIDALIGN}, culture mixed in"


def corpora(context: Context, source: Source) -> dict[bool, ParallelCorpus]:
    """Returns the parallel texts of train, without and with its questions about culture, and notes what they are."""
    held_out = sl.data.Items((*source.split.dev, *source.split.test), "dev and test")
    parallel = facts(source.split.train).without_leaks(held_out)
    mixed = parallel + culture(source.split.train).without_leaks(held_out)
    context.notes["texts"] = {"parallel": len(parallel), "with culture": len(mixed), "digest": mixed.digest()}
    return {False: parallel, True: mixed}


def trained(
    context: Context,
    source: Source,
    corpora: Mapping[bool, ParallelCorpus],
    name: str,
    seed: int,
    span: tuple[int, int] | None = None,
) -> Aligned:
    """Trains one method with one seed, on all layers or on those of a span."""
    config: dict[str, Any] = context.config
    layers = None if span is None else tuple(range(span[0], span[1] + 1))
    settings = TrainingSettings(**config["training"], seed=seed, layers=layers)
    folder = f"{name.replace(', ', '-').replace(' ', '-').lower()}-{seed}{'' if span is None else f'-{span[0]}-{span[1]}'}"
    common: dict[str, Any] = {"out": context.results.path / "adapters" / folder, "settings": settings}
    keep = Keep(source.vectors.named("LOC"), config["keep"]["layer"], source.split.train, config["keep"]["weight"])
    with context.timed(f"training {folder}"):
        corpus = corpora[name == MIXED]
        if name in (MIDALIGN, KEPT, MIXED):
            common["keep"] = keep if name == KEPT else None
            return sl.alignment.midalign(context.model, corpus, source.locales, layer=_aligned(config["layer"], span), **common)
        methods = {"CLO": sl.alignment.clo, "multilingual tuning": sl.alignment.tune, CONTROL: sl.alignment.continued}
        return methods[name](context.model, corpus, source.locales, **common)


def _aligned(layer: int, span: tuple[int, int] | None) -> int:
    """The layer that is aligned: the middle of the trained blocks where these lie above the usual one, which they do not move."""
    return sum(span) // 2 if span is not None and span[0] > layer else layer
