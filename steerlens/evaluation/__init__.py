"""Scoring answers, layer sweeps, the choice of plans, the transfer-localization plane, effects by item and side effects."""

from steerlens.evaluation.answering import EXPLICIT, Answers, answered
from steerlens.evaluation.choice import Chosen, choose
from steerlens.evaluation.comparing import MEAN, UNSTEERED
from steerlens.evaluation.consistency import rank_consistency
from steerlens.evaluation.exam import Exam
from steerlens.evaluation.fluency import SideEffects, side_effects
from steerlens.evaluation.grid import Cell
from steerlens.evaluation.intervals import Interval, paired_interval, percentiles
from steerlens.evaluation.item_effects import Effects, effects
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.planes import Plane, placed, plane
from steerlens.evaluation.questions import Scoring
from steerlens.evaluation.responses import Response, response
from steerlens.evaluation.sweeps import MODES, SCORES, STRENGTHS, Mode, Sweep, sweep
from steerlens.evaluation.texts import nats_per_token, repetition

__all__ = [
    "EXPLICIT",
    "MEAN",
    "MODES",
    "SCORES",
    "STRENGTHS",
    "UNSTEERED",
    "Answers",
    "Cell",
    "Chosen",
    "Effects",
    "Exam",
    "Interval",
    "Mode",
    "Outcome",
    "Plane",
    "Response",
    "Scoring",
    "SideEffects",
    "Sweep",
    "answered",
    "choose",
    "effects",
    "nats_per_token",
    "paired_interval",
    "percentiles",
    "placed",
    "plane",
    "rank_consistency",
    "repetition",
    "response",
    "side_effects",
    "sweep",
]
