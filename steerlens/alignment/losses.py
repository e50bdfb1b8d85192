"""The losses of alignment methods, as functions of tensors only."""

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
    """Returns the contrastive loss of parallel texts. The loss is small if each text is nearer to its translation than to the
    other translations.

    ``-mean_i log(exp(s_ii / t) / sum_j exp(s_ij / t))`` with the cosine similarity ``s_ij`` of text i and translation j and the
    temperature ``t`` (InfoNCE, van den Oord et al., arXiv 1807.03748; the alignment loss of Liu and Niehues, arXiv 2502.14830,
    section 3). The loss is computed from texts to translations and from translations to texts, and the two values are averaged.

    Args:
        own: pooled residuals of the texts, ``[pair, d_model]``.
        other: pooled residuals of their translations, in the same order.
        temperature: the divisor of similarities. With a smaller divisor, the most similar wrong translation has more influence on
            the loss.
        same: a mask ``[pair, pair]`` that is true for pairs with the same meaning, such as two wordings of one fact. Pairs with
            the same meaning are not used as negatives for each other.
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
    """Returns the preference loss. The loss is small if training raises the log probability of the chosen answer more than the
    log probability of the rejected answer.

    ``-mean log sigmoid(beta * ((chosen - reference_chosen) - (rejected - reference_rejected)))`` (DPO, Rafailov et al., arXiv
    2305.18290, equation 7; the cross-lingual loss of Lee et al., arXiv 2505.14297, where the rejected answer is the translation
    of the chosen one).

    Args:
        chosen: log probability of each chosen answer under the model that is trained, in nats, ``[pair]``.
        rejected: log probability of each rejected answer under the model that is trained.
        reference_chosen: log probability of each chosen answer under the model before training.
        reference_rejected: log probability of each rejected answer under the model before training.
        beta: a number that limits how far the model moves away from the model before training. A smaller number allows larger
            changes.
    """
    return -logsigmoid(beta * ((chosen - reference_chosen) - (rejected - reference_rejected))).mean()


def movement_loss(
    after: Float[Tensor, "prompt d_model"], before: Float[Tensor, "prompt d_model"], vectors: Float[Tensor, "prompt d_model"]
) -> Float[Tensor, ""]:
    """Returns a measure of how far residuals moved along given vectors. The measure is the mean over prompts of the squared
    movement, where a movement by the length of the prompt's vector counts as 1.

    ``mean_i (((after_i - before_i) . v_i) / (v_i . v_i))^2``: a prompt that moved by its complete vector, in either direction,
    contributes 1. A prompt that moved at right angles to its vector contributes 0.

    Args:
        after: residuals of the model that is trained, ``[prompt, d_model]``.
        before: residuals of the model before training, in the same shape.
        vectors: the vector of each prompt, such as the LOC vector of its locale.
    """
    along = einsum(after - before, vectors, "p d, p d -> p") / einsum(vectors, vectors, "p d, p d -> p")
    return along.square().mean()
