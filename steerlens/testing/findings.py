"""What a check found: agreement, a number that is off, a refusal or an error."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from steerlens.errors import SteerlensError

Verdict = Literal["ok", "off", "refused", "error", "none"]
_LONGEST = 500
"""Letters of an error that are told."""
_MOST = 12
"""Places that are told."""
_RANK: tuple[Verdict, ...] = ("none", "ok", "refused", "off", "error")


@dataclass(frozen=True)
class Finding:
    """The state of one check of one architecture."""

    verdict: Verdict
    text: str = ""
    """What is off and where, or the error's words."""

    def __str__(self) -> str:
        return {"none": "–", "ok": "ok"}.get(self.verdict, f"{self.verdict}: {self.text}")


@dataclass
class Tally:
    """Gathers the comparisons of one check, and what was raised meanwhile."""

    limit: float = 0.0
    """Above this, a difference counts."""
    compared: int = 0
    worst: float = 0.0
    off: dict[str, float] = field(default_factory=dict)
    """The largest difference at each place where one counts."""
    raised: dict[str, tuple[Verdict, list[str]]] = field(default_factory=dict)
    """For each error's words, whether it is a refusal, and where it was raised."""
    notes: list[str] = field(default_factory=list)

    def compare(self, where: str, ours: Tensor, theirs: Tensor, *, relative: bool = False) -> None:
        """Holds numbers against the reference: the largest absolute difference, or its norm's share of the reference's."""
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
        """Counts two things that are not numbers as equal or not."""
        self.compared += 1
        if ours != theirs:
            self.differ(where, "")

    def differ(self, where: str, note: str) -> None:
        """Counts a difference without a size."""
        self.off[where] = self.off.get(where, 0.0)
        if note:
            self.notes.append(note)

    @contextmanager
    def trying(self, where: str) -> Iterator[None]:
        """Notes what is raised inside, and goes on."""
        try:
            yield
        except Exception as error:  # whatever an architecture raises is what is to be told
            found = raised(error)
            self.raised.setdefault(found.text, (found.verdict, []))[1].append(where)

    @property
    def finding(self) -> Finding:
        """All of it in one state: the gravest verdict, and every place."""
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
    """The state of a check that an error ended: refused, if the package says so itself.

    Args:
        renamed: a name that is another in every run, and what is told in its place.
    """
    words = " ".join(str(error).split()) or "no words"
    words = words.replace(*renamed) if renamed[0] else words
    if isinstance(error, SteerlensError):
        return Finding("refused", words[:_LONGEST])
    return Finding("error", f"{type(error).__name__}: {words}"[:_LONGEST])


def _listed(places: list[str]) -> str:
    """Some places, and how many more there are."""
    more = len(places) - _MOST
    return ", ".join(places[:_MOST]) + (f" and {more} more" if more > 0 else "")


def flat(values: object) -> Tensor:
    """Nested sequences of numbers as one vector of float64."""
    if isinstance(values, list | tuple):
        return torch.cat([flat(value) for value in values]) if values else torch.zeros(0, dtype=torch.float64)
    return torch.as_tensor(values, dtype=torch.float64).reshape(-1)
