"""The losses of alignment methods, as pure functions of tensors."""

import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid, normalize


def contrastive_loss(
    own: Float[Tensor, "pair d_model"],
    other: Float[Tensor, "pair d_model"],
    temperature: float,
    same: Bool[Tensor, "pair pair"] | None = None,
) -> Float[Tensor, ""]:
    """Returns the contrastive loss of parallel texts: each text should be nearer to its translation than to all others.

    ``-mean_i log(exp(s_ii / t) / sum_j exp(s_ij / t))`` with the cosine similarity ``s_ij`` of text i and translation j and the
    temperature ``t`` (InfoNCE, van den Oord et al., arXiv 1807.03748; the alignment loss of Liu and Niehues, arXiv 2502.14830,
    section 3). It is computed from texts to translations and from translations to texts, and the two values are averaged.

    Args:
        own: pooled residuals of the texts, ``[pair, d_model]``.
        other: pooled residuals of their translations, in the same order.
        temperature: the divisor of similarities; the smaller it is, the more the nearest wrong text counts.
        same: pairs with the same meaning (such as two wordings of one fact), ``[pair, pair]``: they are not used as wrong
            answers for each other.
    """
    similarity = einsum(normalize(own, dim=1), normalize(other, dim=1), "a d, b d -> a b") / temperature
    right = torch.arange(len(own), device=own.device)
    if same is not None:
        others = same & ~torch.eye(len(own), dtype=torch.bool, device=own.device)
        similarity = similarity.masked_fill(others, -torch.inf)
    return (cross_entropy(similarity, right) + cross_entropy(similarity.T, right)) / 2


def preference_loss(
    chosen: Float[Tensor, " pair"],
    rejected: Float[Tensor, " pair"],
    reference_chosen: Float[Tensor, " pair"],
    reference_rejected: Float[Tensor, " pair"],
    beta: float,
) -> Float[Tensor, ""]:
    """Returns the preference loss: relative to the model before training, the chosen answer should gain more than the rejected
    one.

    ``-mean log sigmoid(beta * ((chosen - reference_chosen) - (rejected - reference_rejected)))`` (DPO, Rafailov et al., arXiv
    2305.18290, equation 7; the cross-lingual loss of Lee et al., arXiv 2505.14297, where the rejected answer is the translation
    of the chosen one).

    Args:
        chosen: log probability of each chosen answer under the model that is trained, in nats, ``[pair]``.
        rejected: the same for each rejected answer.
        reference_chosen: log probability of each chosen answer under the model before training.
        reference_rejected: the same for each rejected answer.
        beta: how strongly the model is kept near the model before training. Smaller values allow larger changes.
    """
    return -logsigmoid(beta * ((chosen - reference_chosen) - (rejected - reference_rejected))).mean()


def movement_loss(
    after: Float[Tensor, "prompt d_model"], before: Float[Tensor, "prompt d_model"], vectors: Float[Tensor, "prompt d_model"]
) -> Float[Tensor, ""]:
    """Returns how far residuals moved along vectors: the mean over prompts of the squared movement as a share of the vector's
    length.

    ``mean_i (((after_i - before_i) . v_i) / (v_i . v_i))^2``: a prompt that moved by its whole vector, in either direction,
    adds 1, and a prompt that moved at right angles to it adds 0.

    Args:
        after: residuals of the model that is trained, ``[prompt, d_model]``.
        before: those of the model before training.
        vectors: the vector of each prompt, such as the LOC vector of its locale.
    """
    along = einsum(after - before, vectors, "p d, p d -> p") / einsum(vectors, vectors, "p d, p d -> p")
    return along.square().mean()
