"""Scoring answers, layer sweeps, the search for plans, the transfer-localization plane, effects by item and side effects."""

from steerlens.evaluation.answering import EXPLICIT, Answers, answered
from steerlens.evaluation.attribution import Attribution, attributions
from steerlens.evaluation.choice import choose
from steerlens.evaluation.comparing import MEAN, UNSTEERED
from steerlens.evaluation.consistency import rank_consistency
from steerlens.evaluation.fluency import SideEffects, side_effects
from steerlens.evaluation.grid import Cell
from steerlens.evaluation.intervals import Interval, paired_interval, paired_p, percentiles
from steerlens.evaluation.item_choices import ItemChoices, item_choices
from steerlens.evaluation.item_effects import Effects, effects
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.planes import Plane, placed, plane
from steerlens.evaluation.questions import Scoring
from steerlens.evaluation.responses import Response, response
from steerlens.evaluation.scorer import Scorer
from steerlens.evaluation.searching.objectives import LESSER_GAIN, OBJECTIVES, Gains, Limits
from steerlens.evaluation.searching.recipes import Chosen, Recipe
from steerlens.evaluation.searching.results import Regret, Search, Tested, Tried
from steerlens.evaluation.searching.search import search
from steerlens.evaluation.searching.settings import SearchSettings
from steerlens.evaluation.searching.tested import ALL, BEST
from steerlens.evaluation.sweeps import MODES, SCORES, STRENGTHS, Mode, Sweep, sweep
from steerlens.evaluation.texts import nats_per_token, repetition

__all__ = [
    "ALL",
    "BEST",
    "EXPLICIT",
    "LESSER_GAIN",
    "MEAN",
    "MODES",
    "OBJECTIVES",
    "SCORES",
    "STRENGTHS",
    "UNSTEERED",
    "Answers",
    "Attribution",
    "Cell",
    "Chosen",
    "Effects",
    "Gains",
    "Interval",
    "ItemChoices",
    "Limits",
    "Mode",
    "Outcome",
    "Plane",
    "Recipe",
    "Regret",
    "Response",
    "Scorer",
    "Scoring",
    "Search",
    "SearchSettings",
    "SideEffects",
    "Sweep",
    "Tested",
    "Tried",
    "answered",
    "attributions",
    "choose",
    "effects",
    "item_choices",
    "nats_per_token",
    "paired_interval",
    "paired_p",
    "percentiles",
    "placed",
    "plane",
    "rank_consistency",
    "repetition",
    "response",
    "search",
    "side_effects",
    "sweep",
]
