"""Measures the similarity of two sets of representations of the same concepts. All measures are functions of tensors."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

Side = Float[Tensor, "layer concept d"]


def centred_cosines(a: Side, b: Side) -> Float[Tensor, "layer concept"]:
    """Returns the cosine between each concept's two residuals, after subtracting the mean of each side.

    Subtracting the mean removes the part that all prompts of a language share.
    """
    return torch.cosine_similarity(a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True), dim=-1)


def retrieved(a: Side, b: Side) -> Float[Tensor, "layer concept"]:
    """Returns 1 if the same concept on the other side has the largest centred cosine of all concepts, otherwise 0. The result is
    the mean over the two directions of the comparison."""
    units = [normalize(side - side.mean(dim=1, keepdim=True), dim=-1) for side in (a, b)]
    cosines = units[0] @ units[1].mT
    own = torch.arange(cosines.shape[-1], device=a.device)
    return ((cosines.argmax(-1) == own).float() + (cosines.argmax(-2) == own).float()) / 2


def linear_cka(
    a: Side, b: Float[Tensor, "layer concept e"], subsets: Float[Tensor, "subset concept"]
) -> Float[Tensor, "layer subset"]:
    """Returns the linear centred kernel alignment over subsets of the concepts. Each subset is a row of 0 and 1 with at least
    four concepts.

    The measure is from Kornblith et al. (arXiv 1905.00414), with the unbiased estimator of HSIC (Song et al. 2012). With fewer
    concepts than dimensions, the biased estimator is near 1 for any two sets.
    """
    first, second = (_gram(side) for side in (a, b))
    within = _hsic(first, first, subsets) * _hsic(second, second, subsets)
    return _hsic(first, second, subsets) / within.clamp(min=1e-30).sqrt()


def _gram(side: Side) -> Float[Tensor, "layer concept concept"]:
    rows = (side - side.mean(dim=1, keepdim=True)).double()
    gram = rows @ rows.mT
    gram = gram / gram.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None].clamp(min=1e-30)  # CKA does not depend on this scale
    return gram - torch.diag_embed(gram.diagonal(dim1=1, dim2=2))


def _hsic(k: Tensor, m: Tensor, subsets: Float[Tensor, "subset concept"]) -> Float[Tensor, "layer subset"]:
    """Returns the unbiased HSIC of two inner-product matrices without their diagonals, for each subset."""
    w = subsets.to(k)
    n = w.sum(1)
    km, mm = w @ k, w @ m  # sums over a subset's columns
    trace = ((w @ (k * m)) * w).sum(-1)
    sums = (km * w).sum(-1) * (mm * w).sum(-1)
    return (trace + sums / ((n - 1) * (n - 2)) - 2 * (km * mm * w).sum(-1) / (n - 2)) / (n * (n - 3))


def halves(n: int, draws: int, generator: torch.Generator) -> Float[Tensor, "draw n"]:
    """Returns random halves of ``n`` elements: 1 for elements in the half, 0 for all other elements."""
    ranks = torch.rand(draws, n, generator=generator).argsort(dim=1).argsort(dim=1)
    return (ranks < n // 2).float()
