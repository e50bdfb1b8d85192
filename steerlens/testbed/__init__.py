"""Small models with hand-written weights, and judges that test methods on these models. The true effects of steering these
models are known, and the judges check whether methods find these effects."""

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
