"""Scoring answers, layer sweeps, the choice of plans, and the transfer-localization plane."""

from steerlens.evaluation.choice import Chosen, choose
from steerlens.evaluation.exam import Exam
from steerlens.evaluation.grid import Cell
from steerlens.evaluation.intervals import Interval, paired_interval
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.planes import EXPLICIT, MEAN, UNSTEERED, Plane, plane
from steerlens.evaluation.questions import Scoring
from steerlens.evaluation.sweeps import MODES, SCORES, STRENGTHS, Mode, Sweep, sweep

__all__ = [
    "EXPLICIT",
    "MEAN",
    "MODES",
    "SCORES",
    "STRENGTHS",
    "UNSTEERED",
    "Cell",
    "Chosen",
    "Exam",
    "Interval",
    "Mode",
    "Outcome",
    "Plane",
    "Scoring",
    "Sweep",
    "choose",
    "paired_interval",
    "plane",
    "sweep",
]
