"""Scoring answers, layer sweeps, the search for plans, the transfer-localization plane, effects by item and side effects."""

from steerlens.evaluation.answering import EXPLICIT, Answers, answered
from steerlens.evaluation.attribution import Attribution, attributions
from steerlens.evaluation.choice import choose
from steerlens.evaluation.comparing import MEAN, UNSTEERED
from steerlens.evaluation.consistency import rank_consistency
from steerlens.evaluation.exam import Exam
from steerlens.evaluation.fluency import SideEffects, side_effects
from steerlens.evaluation.grid import Cell
from steerlens.evaluation.intervals import Interval, paired_interval, paired_p, percentiles
from steerlens.evaluation.item_choices import ItemChoices, item_choices
from steerlens.evaluation.item_effects import Effects, effects
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.planes import Plane, placed, plane
from steerlens.evaluation.responses import Response, response
from steerlens.evaluation.searching.objectives import OBJECTIVES, Gains
from steerlens.evaluation.searching.recipes import Chosen, Recipe
from steerlens.evaluation.searching.results import Regret, Search, Tested, Tried
from steerlens.evaluation.searching.search import search
from steerlens.evaluation.searching.tested import ALL, BEST
from steerlens.evaluation.sweeps import SCORES, Sweep, sweep
from steerlens.evaluation.texts import nats_per_token, repetition
from steerlens.settings import LESSER_GAIN, MODES, STRENGTHS, Limits, Mode, Scoring, SearchSettings

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
    "Exam",
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
