"""Computes areas under ROC curves, for many score vectors at once."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def auroc(scores: Float[Tensor, "*batch row"], positive: Bool[Tensor, "*#batch row"]) -> Float[Tensor, "*batch"]:
    """Returns the AUROC: the share of pairs of a positive and a negative row that the scores order correctly. A tie counts one
    half.

    The AUROC is the Mann-Whitney statistic from average ranks (Hanley and McNeil 1982). The AUROC is NaN if there are no positive
    or no negative rows.
    """
    rows = scores.contiguous()
    order = rows.sort(dim=-1).values
    ranks = (torch.searchsorted(order, rows) + torch.searchsorted(order, rows, right=True) + 1) / 2
    ones, zeros = positive.sum(-1), (~positive).sum(-1)
    return ((ranks * positive).sum(-1) - ones * (ones + 1) / 2) / (ones * zeros)
