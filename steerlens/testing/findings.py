"""Records the result of a check: agreement, a wrong number, a refusal or an error."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from steerlens.errors import SteerlensError

Verdict = Literal["ok", "off", "refused", "error", "none"]
_LONGEST = 500
"""The largest number of letters of an error that are shown."""
_MOST = 12
"""The largest number of comparisons that are listed."""
_RANK: tuple[Verdict, ...] = ("none", "ok", "refused", "off", "error")


@dataclass(frozen=True)
class Finding:
    """The result of one check of one architecture."""

    verdict: Verdict
    text: str = ""
    """The differences with the names of the comparisons, or the error's message."""

    def __str__(self) -> str:
        return {"none": "–", "ok": "ok"}.get(self.verdict, f"{self.verdict}: {self.text}")


@dataclass
class Tally:
    """Collects the comparisons of one check, and the errors raised in it."""

    limit: float = 0.0
    """The largest difference that is allowed."""
    compared: int = 0
    worst: float = 0.0
    off: dict[str, float] = field(default_factory=dict)
    """The largest difference in each comparison with a difference above the limit, by the comparison's name."""
    raised: dict[str, tuple[Verdict, list[str]]] = field(default_factory=dict)
    """The verdict for each error message, and the names of the comparisons that raised the error."""
    notes: list[str] = field(default_factory=list)

    def compare(self, where: str, ours: Tensor, theirs: Tensor, *, relative: bool = False) -> None:
        """Compares numbers with the reference by the largest absolute difference. With ``relative``, compares by the norm of the
        difference, divided by the norm of the reference."""
        if ours.shape != theirs.shape:
            self.differ(where, f"shape {tuple(ours.shape)} for {tuple(theirs.shape)}")
            return
        apart = (ours.double() - theirs.double()).abs()
        error = float(apart.norm() / theirs.double().norm().clamp(min=1e-12)) if relative else float(apart.max())
        error = error if error == error else float("inf")
        self.compared, self.worst = self.compared + 1, max(self.worst, error)
        if error > self.limit:
            self.off[where] = max(error, self.off.get(where, 0.0))

    def same(self, where: str, ours: object, theirs: object) -> None:
        """Compares two values that are not numbers, and records whether they are equal."""
        self.compared += 1
        if ours != theirs:
            self.differ(where, "")

    def differ(self, where: str, note: str) -> None:
        """Records a difference that has no size."""
        self.off[where] = self.off.get(where, 0.0)
        if note:
            self.notes.append(note)

    @contextmanager
    def trying(self, where: str) -> Iterator[None]:
        """Records errors that are raised inside the ``with`` block, and continues."""
        try:
            yield
        except Exception as error:  # any error of an architecture is a result
            found = raised(error)
            self.raised.setdefault(found.text, (found.verdict, []))[1].append(where)

    @property
    def finding(self) -> Finding:
        """Returns one result for all comparisons: the most serious verdict, and the names of all comparisons with a difference
        or an error."""
        verdicts: list[Verdict] = [verdict for verdict, _ in self.raised.values()]
        verdicts += ["off"] if self.off else ["ok"] if self.compared else []
        texts = [self._off()] if self.off else []
        texts += [f"{words} ({_listed(places)})" for words, (_, places) in self.raised.items()]
        return Finding(max(verdicts, key=_RANK.index, default="none"), "; ".join(texts))

    def _off(self) -> str:
        size = max(self.off.values())
        places = _listed(list(self.off))
        noted = f"; {'; '.join(dict.fromkeys(self.notes))}" if self.notes else ""
        return f"{f'{size:.2g} ' if size else ''}at {places}{noted}"


def raised(error: Exception, renamed: tuple[str, str] = ("", "")) -> Finding:
    """Returns the result of a check that ended in an error. The result is a refusal if steerlens itself raised the error.

    Args:
        renamed: a name that differs in every run, and the text that replaces this name.
    """
    words = " ".join(str(error).split()) or "no words"
    words = words.replace(*renamed) if renamed[0] else words
    if isinstance(error, SteerlensError):
        return Finding("refused", words[:_LONGEST])
    return Finding("error", f"{type(error).__name__}: {words}"[:_LONGEST])


def _listed(places: list[str]) -> str:
    """Returns the first names of a list, and the number of further names."""
    more = len(places) - _MOST
    return ", ".join(places[:_MOST]) + (f" and {more} more" if more > 0 else "")


def flat(values: object) -> Tensor:
    """Returns nested sequences of numbers as one float64 vector."""
    if isinstance(values, list | tuple):
        return torch.cat([flat(value) for value in values]) if values else torch.zeros(0, dtype=torch.float64)
    return torch.as_tensor(values, dtype=torch.float64).reshape(-1)
