"""Areas under ROC curves, many at once."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def auroc(scores: Float[Tensor, "*batch row"], positive: Bool[Tensor, "*#batch row"]) -> Float[Tensor, "*batch"]:
    """Share of pairs of a positive and a negative row that the scores order rightly; a tie counts one half.

    It is the Mann-Whitney statistic from average ranks (Hanley and McNeil 1982). NaN where a side is empty.
    """
    rows = scores.contiguous()
    order = rows.sort(dim=-1).values
    ranks = (torch.searchsorted(order, rows) + torch.searchsorted(order, rows, right=True) + 1) / 2
    ones, zeros = positive.sum(-1), (~positive).sum(-1)
    return ((ranks * positive).sum(-1) - ones * (ones + 1) / 2) / (ones * zeros)
