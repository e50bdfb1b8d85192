"""Evaluates steering and other methods: scores of items, layer sweeps, the choice and the search of plans, the
transfer-localization plane, effects on single items, and side effects."""

from steerlens.evaluation.answering import Answers, answered
from steerlens.evaluation.attribution import Attribution, attributions
from steerlens.evaluation.choosing import Choices
from steerlens.evaluation.combinations import Combinations
from steerlens.evaluation.comparing import MEAN, Comparison
from steerlens.evaluation.consistency import rank_consistency
from steerlens.evaluation.depths import Depths
from steerlens.evaluation.fewer_pairs import FewerPairs, fewer_pairs
from steerlens.evaluation.fluency import SideEffects, side_effects
from steerlens.evaluation.frontiers import Frontier, frontier
from steerlens.evaluation.item_choices import ItemChoices, item_choices
from steerlens.evaluation.item_effects import Effects, effects
from steerlens.evaluation.methods import (
    EXPLICIT,
    Checkpoint,
    Checkpoints,
    Composed,
    ExplicitPrompt,
    Hooked,
    Method,
    Prepared,
    Steered,
    Trained,
)
from steerlens.evaluation.named_country import NamedCountry, named_country
from steerlens.evaluation.outcomes import Outcome, Reading, Writing
from steerlens.evaluation.paths import strengths
from steerlens.evaluation.planes import Plane, placed, plane
from steerlens.evaluation.power import Power, power
from steerlens.evaluation.responses import Response, response
from steerlens.evaluation.scorer import Scorer
from steerlens.evaluation.scores import repetition
from steerlens.evaluation.searching.chosen import Chosen
from steerlens.evaluation.searching.expected import Expected
from steerlens.evaluation.searching.objectives import OBJECTIVES, Gains
from steerlens.evaluation.searching.results import Regret, Search, Tested, Tried
from steerlens.evaluation.searching.search import search
from steerlens.evaluation.searching.tested import ALL, BEST
from steerlens.evaluation.sweeping import sweep
from steerlens.evaluation.sweeps import Sweep
from steerlens.evaluation.texts import nats_per_token
from steerlens.evaluation.token_counts import TokenCounts, token_counts
from steerlens.evaluation.wordings import Wordings
from steerlens.scores import SCORES, Score, register
from steerlens.settings import LESSER_GAIN, MODES, Limits, Mode, Scoring, SearchSettings, TextLimits

__all__ = [
    "ALL",
    "BEST",
    "EXPLICIT",
    "LESSER_GAIN",
    "MEAN",
    "MODES",
    "OBJECTIVES",
    "SCORES",
    "Answers",
    "Attribution",
    "Checkpoint",
    "Checkpoints",
    "Choices",
    "Chosen",
    "Combinations",
    "Comparison",
    "Composed",
    "Depths",
    "Effects",
    "Expected",
    "ExplicitPrompt",
    "FewerPairs",
    "Frontier",
    "Gains",
    "Hooked",
    "ItemChoices",
    "Limits",
    "Method",
    "Mode",
    "NamedCountry",
    "Outcome",
    "Plane",
    "Power",
    "Prepared",
    "Reading",
    "Regret",
    "Response",
    "Score",
    "Scorer",
    "Scoring",
    "Search",
    "SearchSettings",
    "SideEffects",
    "Steered",
    "Sweep",
    "Tested",
    "TextLimits",
    "TokenCounts",
    "Trained",
    "Tried",
    "Wordings",
    "Writing",
    "answered",
    "attributions",
    "effects",
    "fewer_pairs",
    "frontier",
    "item_choices",
    "named_country",
    "nats_per_token",
    "placed",
    "plane",
    "power",
    "rank_consistency",
    "register",
    "repetition",
    "response",
    "search",
    "side_effects",
    "strengths",
    "sweep",
    "token_counts",
]
