"""What a search may try, and what it may spend."""

from dataclasses import asdict, dataclass, field
from typing import Any

from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.questions import Scoring
from steerlens.evaluation.searching.objectives import Limits
from steerlens.models.pooling import Positions
from steerlens.steering import WHICH, Which


@dataclass(frozen=True)
class SearchSettings:
    """A search's grid and budget. The defaults are made for six locales of Gemma 3 270M in twenty minutes on two cores."""

    layers: tuple[int, ...] | None = None
    """Layers tried; all for ``None``."""
    first_layers: int = 9
    """Of these, how many are run at first, evenly spaced with the last among them; the steps from the best reach the others."""
    strengths: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """Strengths tried; the first layers are run at the middle one (of two, the weaker)."""
    tokens: tuple[Which, ...] = ("last_onward", "all")
    """Tokens tried; the first layers are run at the first of them."""
    vector_concepts: int | None = 120
    """Concepts of each kind that vectors are taken from; all for ``None``."""
    dev_concepts: int | None = 15
    """Concepts of each kind that a locale's choices rest on; all for ``None``. A cell costs a pass for each."""
    test_concepts: int | None = 50
    """Concepts of each kind that choices are tested on, of those given; all for ``None``."""
    singles: int = 4
    """Cells of each vector that are run after these, for each locale and for all together."""
    combinations: int = 12
    """Combinations of both vectors that are run, for each locale and for all together."""
    n_folds: int = 3
    """A concept is scored under vectors from the other folds."""
    limits: Limits = field(default_factory=Limits)
    positions: Positions = "last"
    """Where vectors are read."""
    scoring: Scoring = field(default_factory=Scoring)
    seed: int = 0
    """Of the folds, the sample of dev concepts and the bootstrap."""

    def __post_init__(self) -> None:
        for which in self.tokens:
            if which not in WHICH:
                raise UnknownNameError("choice of tokens", which, WHICH)
        concepts = (self.vector_concepts, self.dev_concepts, self.test_concepts)
        counts = (
            self.first_layers - 1,
            self.singles,
            self.combinations,
            self.n_folds - 1,
            *(1 if n is None else n for n in concepts),
        )
        if not self.strengths or 0 in self.strengths or not self.tokens or min(counts) < 1:
            raise SettingsError(
                f"{self} given: expected strengths other than 0, at least one choice of tokens, two first layers and folds, "
                "and one each of the concepts, singles and combinations."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
