"""Training an adapter of a model by a method, in a folder that a run goes on from where it ended."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch

from steerlens.alignment.aligned import LOG, Aligned, TrainingLog, checkpoints_of
from steerlens.alignment.cards import CARD, Card
from steerlens.alignment.examples import Encoded, check_languages
from steerlens.alignment.keeping import Keep
from steerlens.alignment.lora import learner_of
from steerlens.alignment.objectives import Objective, Stream
from steerlens.alignment.order import Batches
from steerlens.alignment.trainer import WHOLE, AlignmentTrainer
from steerlens.data import ENGLISH, Items
from steerlens.data.parallel import ParallelCorpus
from steerlens.errors import DataError, FileError, ModelError, SettingsError, SteerlensError
from steerlens.models.lens import LensModel
from steerlens.models.quiet import quiet_transformers
from steerlens.provenance import provenance
from steerlens.training import TrainingSettings

_log = logging.getLogger("steerlens")
_OF_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def train(
    model: LensModel,
    corpus: ParallelCorpus,
    objective: Objective,
    locales: Sequence[str] | None = None,
    *,
    out: str | Path,
    settings: TrainingSettings | None = None,
    keep: Keep | None = None,
    held_out: Items | None = None,
) -> Aligned:
    """Trains a LoRA adapter of a model by any method of alignment.

    The model itself is left as it is. The same call goes on from the last checkpoint of a run that was ended, and returns what is
    there of one that came to its end.

    Args:
        model: the base model, as ``sl.load`` returns it.
        corpus: the parallel texts.
        objective: the method: what is minimised.
        locales: the locales that are aligned with English; all of the corpus but English for ``None``.
        out: the folder that the adapter, its checkpoints, its card and its log are kept in.
        settings: of the training; the defaults for ``None``.
        keep: what is to be left as it is; nothing for ``None``.
        held_out: items that no text may give away, as ``split.dev + split.test``; not checked for ``None``.

    Raises:
        DataError: the corpus holds nothing that the method can use, or gives held-out items away, or the tokenizer breaks a
            locale into bytes.
        SettingsError: no locales, or the folder holds another run.
        ModelError: peft is not installed, the model cannot be trained, or the loss diverges.
        FileError: a checkpoint cannot be written; the last one that could is kept.
    """
    chosen, codes, folder = settings or TrainingSettings(), _locales(corpus, locales), Path(out).expanduser()
    if held_out is not None:
        corpus.check(held_out)
    check_languages(model.tokenizer, corpus, (ENGLISH, *codes))
    card = _begun(folder, _card(model, corpus, objective, codes, chosen, keep))
    if card.done:
        _log.info("%s holds this adapter already: it is not trained again", folder)
        return Aligned.load(folder)
    streams, left_out = _short(objective.streams(corpus, codes, model.tokenizer), chosen.max_tokens)
    prompts = () if keep is None else keep.prompts(codes, model.tokenizer)
    began = perf_counter()
    with quiet_transformers(), _told(folder):
        rows, size = _trained(model, objective, streams, prompts, chosen, keep, folder)
        _finish(folder, rows)
    made = replace(card, left_out=left_out, batch_size=size, seconds=perf_counter() - began, done=True)
    made.save(folder)
    return Aligned.load(folder)


def _locales(corpus: ParallelCorpus, given: Sequence[str] | None) -> tuple[str, ...]:
    """The locales that are aligned with English."""
    there = [code for code in corpus.locales if code != ENGLISH]
    wanted = tuple(there if given is None else given)
    if lacking := [code for code in wanted if code not in there]:
        raise SettingsError(
            f"locales {lacking} given, and {corpus!r} holds no texts of them: expected some of {', '.join(there)}."
        )
    if not wanted:
        raise SettingsError(
            f"{corpus!r} holds texts in {', '.join(corpus.locales)} alone: expected other locales to align with English."
        )
    return wanted


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


def _begun(folder: Path, card: Card) -> Card:
    """The card of a run that is gone on with, or of one that begins."""
    if (folder / CARD).is_file():
        there = Card.load(folder)
        if other := there.differences(card):
            raise SettingsError(
                f"{folder} holds an adapter of another run ({there.method}; it differs in {', '.join(other)}): give another "
                "folder as out=…, or remove this one."
            )
        return there
    if any((folder / name).exists() for name in _OF_ADAPTER):
        raise SettingsError(f"{folder} holds an adapter that sl.alignment did not make: give another folder as out=….")
    card.save(folder)
    return card


def _short(streams: Sequence[Stream], most: int) -> tuple[tuple[Stream, ...], int]:
    """The examples whose texts have at most so many tokens, and how many have more."""
    kept = tuple(tuple(one for one in stream if max(len(text.ids) for text in one.texts) <= most) for stream in streams)
    left_out = sum(map(len, streams)) - sum(map(len, kept))
    if not all(kept):
        raise DataError(
            f"all examples of one kind are longer than {most} tokens: expected shorter texts, or a larger max_tokens."
        )
    if left_out:
        _log.info("%d of %d examples are longer than %d tokens and are left out", left_out, sum(map(len, streams)), most)
    return kept, left_out


def _trained(
    model: LensModel,
    objective: Objective,
    streams: Sequence[Stream],
    prompts: Sequence[Encoded],
    settings: TrainingSettings,
    keep: Keep | None,
    folder: Path,
) -> tuple[list[dict[str, Any]], int]:
    """Trains in batches of the size asked for, or of a half of it wherever memory does not hold more.

    Returns:
        What was seen, and the size of the batches.
    """
    size, accumulate = settings.batch_size, settings.accumulate
    while True:
        batches = Batches(streams, prompts, steps=settings.steps, size=size, accumulate=accumulate, seed=settings.seed)
        learner = learner_of(model, settings, objective.weights)
        learner.check(batches[0].examples[0].texts)
        trainer = AlignmentTrainer(learner, objective, batches, settings, folder, accumulate=accumulate, keep=keep)
        last = list(_whole(folder).values())[-1:]
        try:
            trainer.train(resume_from_checkpoint=str(last[0]) if last else None)
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise ModelError(
                    f"memory does not hold one example ({error}). Expected shorter texts (max_tokens), a smaller model or more "
                    "memory."
                ) from error
            size, accumulate = (size // 2, accumulate * 2) if size % 2 == 0 else (1, accumulate * size)
            del trainer, learner
            torch.cuda.empty_cache()
            _log.warning(
                "memory does not hold a batch of this size: going on with %d examples at once and %d batches an update. A "
                "contrastive loss has fewer wrong answers so.",
                size,
                accumulate,
            )
            continue
        return [row for row in trainer.state.log_history if "part" in row], size


def _whole(folder: Path) -> dict[int, Path]:
    """The checkpoints that were written whole; what is left of others is removed."""
    found = checkpoints_of(folder)
    for path in found.values():
        if not (path / WHOLE).is_file():
            shutil.rmtree(path)
    return {step: path for step, path in found.items() if path.exists()}


def _finish(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Puts the last checkpoint's adapter and the log into the folder, and leaves the adapter alone in every checkpoint."""
    found = _whole(folder)
    TrainingLog(pd.DataFrame(rows, columns=["step", "part", "value"])).save(folder / LOG)
    for name in _OF_ADAPTER:
        shutil.copy2(list(found.values())[-1] / name, folder / name)
    for path in found.values():
        for file in path.iterdir():
            if file.name not in _OF_ADAPTER:
                file.unlink()


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Says in words that something could not be written; what was is kept.

    Raises:
        FileError: the disk is full, or the folder cannot be written.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SteerlensError:
        raise
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(word in str(error) for word in ("PytorchStreamWriter", "file write")):
            raise
        kept = ", ".join(map(str, _whole(folder))) or "none yet"
        raise FileError(
            f"a checkpoint cannot be written into {folder} ({error}). Those of steps {kept} are kept: free some space, and "
            "give the same call again, which goes on from the last of them."
        ) from error
