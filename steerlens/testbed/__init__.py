"""Small models with hand-written weights, so that the truth about them is known, and judges that must find this truth."""

from steerlens.testbed.judging import JUDGES, Judge, Judgement, by_plane, by_probing, by_search
from steerlens.testbed.planted import Planted, Truth, planted
from steerlens.testbed.rates import Rates, rates

__all__ = [
    "JUDGES",
    "Judge",
    "Judgement",
    "Planted",
    "Rates",
    "Truth",
    "by_plane",
    "by_probing",
    "by_search",
    "planted",
    "rates",
]
