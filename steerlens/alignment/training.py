"""Trains an adapter of a model by an alignment method. An interrupted run continues from the checkpoints in its folder."""

import gc
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from steerlens.alignment.aligned import Aligned
from steerlens.alignment.cards import Card
from steerlens.alignment.examples import Encoded, check_languages
from steerlens.alignment.folders import alone_in, begun, strip, whole, write_result
from steerlens.alignment.keeping import Keep
from steerlens.alignment.lora import learner_of
from steerlens.alignment.objectives import Objective, Stream
from steerlens.alignment.order import Batches
from steerlens.alignment.trainer import AlignmentTrainer
from steerlens.data import ENGLISH, Items
from steerlens.data.parallel import ParallelCorpus
from steerlens.errors import DataError, ModelError, SettingsError
from steerlens.models.lens import LensModel
from steerlens.models.quiet import quiet_transformers
from steerlens.provenance import provenance
from steerlens.storage import readable_errors
from steerlens.training import TrainingSettings

_log = logging.getLogger("steerlens")
_NO_MEMORY = ("can't allocate memory", "out of memory")
"""Texts in out-of-memory errors whose class does not show that memory is the cause."""


def train(
    model: LensModel,
    corpus: ParallelCorpus,
    objective: Objective,
    locales: Sequence[str] | str | None = None,
    *,
    out: str | Path,
    settings: TrainingSettings | None = None,
    keep: Keep | None = None,
    held_out: Items | None = None,
) -> Aligned:
    """Trains a LoRA adapter of a model by any method of alignment.

    The given model is not changed. If the run was interrupted, the same call continues from the last checkpoint. If the run is
    finished, the same call returns its result.

    Args:
        model: the base model, as ``sl.load`` returns it.
        corpus: the parallel texts.
        objective: the method, with the loss that is minimised.
        locales: the locales that are aligned with English; ``None`` takes all locales of the corpus except English.
        out: the folder for the adapter, its checkpoints, its card and its log.
        settings: the settings of the training. ``None`` uses the defaults.
        keep: the component of the residual stream that training should leave unchanged. ``None`` protects no component.
        held_out: items whose answers the texts of the corpus must not reveal, such as the items of dev and test. ``None`` skips
            this check.

    Raises:
        DataError: the corpus contains nothing that the method can use, or contains answers of held-out items, or the tokenizer
            splits a locale's texts into bytes.
        SettingsError: there are no locales, a batch has too few examples for the method, or the folder contains another run or
            other files.
        ModelError: peft is not installed, the model cannot be trained, the memory is too small, or the loss diverges.
        FileError: a checkpoint cannot be written (earlier checkpoints are kept), or another process is training in the folder.
        FingerprintError: the vectors in ``keep`` belong to another model.
    """
    chosen, codes, folder = settings or TrainingSettings(), _locales(corpus, locales), Path(out).expanduser().resolve()
    if held_out is not None:
        corpus.check(held_out)
    _check_batch(objective, chosen.batch_size)
    check_languages(model.tokenizer, corpus, (ENGLISH, *codes))
    if model.dtype is torch.bfloat16:
        _log.warning(
            "%s is in bfloat16: when an adapter is merged into such weights, small changes are lost by rounding. Load the model "
            "in float32 to keep these changes, which are most important in early checkpoints.",
            model.name,
        )
    streams, left_out = _usable(objective.streams(corpus, codes, model.tokenizer), chosen.max_tokens)
    prompts = () if keep is None else keep.prompts(model, codes)
    run = _Run(model, objective, streams, prompts, chosen, keep, folder)
    with alone_in(folder), readable_errors(folder, "write"):
        card = begun(folder, _card(model, corpus, objective, codes, chosen, keep))
        if card.done:
            strip(folder)
            _log.info("%s already contains this adapter, so it is not trained again", folder)
            return Aligned.load(folder)
        began = perf_counter()
        with quiet_transformers(), _own_random_numbers(model):
            rows, size = run.trained()
        write_result(folder, rows)
        replace(card, left_out=left_out, batch_size=size, seconds=perf_counter() - began, done=True).save(folder)
        strip(folder)
    return Aligned.load(folder)


def _locales(corpus: ParallelCorpus, given: Sequence[str] | str | None) -> tuple[str, ...]:
    """Returns the locales that are aligned with English."""
    there = [code for code in corpus.locales if code != ENGLISH]
    wanted = tuple(there if given is None else [given] if isinstance(given, str) else dict.fromkeys(given))
    if lacking := [code for code in wanted if code not in there]:
        raise SettingsError(
            f"locales {lacking} given: expected only locales that {corpus!r} contains besides {ENGLISH}: {', '.join(there)}."
        )
    if not wanted:
        raise SettingsError(
            f"{corpus!r} contains only texts in {', '.join(corpus.locales)}: expected at least one other locale, to align it "
            f"with {ENGLISH}."
        )
    return wanted


def _check_batch(objective: Objective, size: int) -> None:
    if size < objective.least_batch:
        raise SettingsError(
            f"batch size {size} given for {objective.name}: expected {objective.least_batch} or more examples, because this "
            "method compares the examples of a batch with each other."
        )


def _card(
    model: LensModel,
    corpus: ParallelCorpus,
    objective: Objective,
    locales: tuple[str, ...],
    settings: TrainingSettings,
    keep: Keep | None,
) -> Card:
    licences = {row.source: row.license for row in corpus}
    counted = {source: sum(row.source == source for row in corpus) for source in licences}
    return Card(
        method=objective.name if keep is None else f"{objective.name}, local kept",
        objective=objective.to_dict(),
        source=objective.source,
        locales=locales,
        training=asdict(settings),
        corpus=corpus.digest(),
        texts={"rows": counted, "licences": licences},
        model=model.fingerprint.to_dict(),
        keep=None if keep is None else keep.to_dict(),
        versions=provenance()["versions"],
    )


def _usable(streams: Sequence[Stream], most: int) -> tuple[tuple[Stream, ...], int]:
    """Returns the examples whose texts have at most ``most`` tokens and at least one token to learn. Also returns the number of
    examples that are left out."""
    kept = tuple(
        tuple(one for one in stream if all(text.learned and len(text.ids) <= most for text in one.texts)) for stream in streams
    )
    every = sum(map(len, streams))
    left_out = every - sum(map(len, kept))
    if not all(kept):
        raise DataError(
            f"all examples of one kind are longer than {most} tokens or have only one token: expected texts of 2 to {most} "
            "tokens. Give other texts, or a larger max_tokens."
        )
    if left_out:
        _log.info(
            "%d of %d examples are left out, because they are longer than %d tokens or have only one token", left_out, every, most
        )
    return kept, left_out


@contextmanager
def _own_random_numbers(model: LensModel) -> Iterator[None]:
    """Restores the random states of Python, NumPy and PyTorch after training, because training sets their seeds."""
    import random

    import numpy as np

    python, numbers = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)


@dataclass(frozen=True, eq=False)
class _Run:
    """The model, the examples, the settings and the folder of a training."""

    model: LensModel
    objective: Objective
    streams: Sequence[Stream]
    prompts: Sequence[Encoded]
    settings: TrainingSettings
    keep: Keep | None
    folder: Path

    def trained(self) -> tuple[list[dict[str, Any]], int]:
        """Trains in batches of the requested size. If the memory is too small, the size is halved, several times if necessary.

        Returns:
            The log of the training, and the size of the batches.

        Raises:
            ModelError: the memory is too small for the smallest batch.
        """
        size, accumulate = self.settings.batch_size, self.settings.accumulate
        while True:
            try:
                return self._once(size, accumulate), size
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_of_memory(error):
                    raise
                said = str(error)
            # outside of the handler, since the error holds what was in memory
            _let_go()
            smaller = size // 2 if size % 2 == 0 else 1
            if size == 1 or smaller < self.objective.least_batch:
                raise ModelError(
                    f"{size} examples of {self.objective.name} do not fit into memory at once ({said:.200}). Use shorter texts "
                    "(max_tokens), a smaller model or more memory."
                )
            size, accumulate = smaller, accumulate * (size // smaller)
            _log.warning(
                "a batch of this size does not fit into memory, so training continues with a batch size of %d and %d batches per "
                "update. With smaller batches, a contrastive loss uses fewer negatives.",
                *(size, accumulate),
            )

    def _once(self, size: int, accumulate: int) -> list[dict[str, Any]]:
        """Trains from the last checkpoint to the end, and returns the log."""
        steps, seed = self.settings.steps, self.settings.seed
        batches = Batches(self.streams, self.prompts, steps=steps, size=size, accumulate=accumulate, seed=seed)
        learner = learner_of(self.model, self.settings, self.objective.weights)
        learner.check(batches[0].examples[0].texts, self.model)
        keep = self.keep
        trainer = AlignmentTrainer(learner, self.objective, batches, self.settings, self.folder, accumulate=accumulate, keep=keep)
        last = list(whole(self.folder).values())[-1:]
        try:
            trainer.train(resume_from_checkpoint=str(last[0]) if last else None)
        finally:
            trainer.close()
        return [row for row in trainer.state.log_history if "part" in row]


def _is_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in _NO_MEMORY)


def _let_go() -> None:
    """Frees the memory of a trainer. The memory is not freed automatically, because a trainer and its callbacks refer to each
    other."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
