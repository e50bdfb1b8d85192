"""Turns text into the tokens that a model sees, with the model's own tokenizer and chat template."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from steerlens.data import Prompt
from steerlens.errors import ModelError, PromptError
from steerlens.models.quiet import quiet_transformers

_log = logging.getLogger(__name__)

Message = dict[str, str]
Text = str | Prompt | Sequence[Message]
"""The input of a model: a text, a ``Prompt``, or the messages of a chat, as ``{"role": …, "content": …}``."""

_PROBES = (
    "Question: What is the capital of Japan?\nAnswer:",
    " ¿Qué se desayuna?  1,234.5 km²",
    "질문: 대표적인 명절은 무엇입니까?",
    "السؤال: ما هي عاصمة اليابان؟",
    "问题：日本的首都是什么？",
    "Ερώτηση: Café e\u0301 🙂",
)
"""Texts for a tokenizer's digest. The digest is computed from the token ids of these texts, and from the vocabulary."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of one prompt, as the model gets them."""

    ids: tuple[int, ...]
    """The token ids, including the ids of the tokens in front of the text."""
    texts: tuple[str, ...]
    """Each token decoded alone. A character that is split between tokens is shown as ``�``."""
    n_front: int = 0
    """The number of tokens in front of the text, such as BOS. These tokens are never included in a mean over tokens, and they are
    never steered."""

    def __len__(self) -> int:
        return len(self.ids)

    def __str__(self) -> str:
        return " ".join(f"[{text!r:.40}]" for text in self.texts)


class Tokenizer:
    """A Hugging Face tokenizer. It turns texts into tokens in the same way for residuals and for scores.

    The tokenizer decides which tokens are in front of a text: BOS for Gemma and Llama, no token for Qwen and GPT-2, two tokens
    for GLM. The chat template decides which tokens are in front of a chat.
    """

    def __init__(self, tokenizer: Any, prepend_bos: bool | None = None, *, own: Any = None) -> None:
        """Finds out which tokens the tokenizer puts in front of a text.

        Args:
            tokenizer: a Hugging Face tokenizer.
            prepend_bos: ``True`` puts the declared BOS in front of every text and chat, ``False`` puts nothing there; with
                ``None`` the tokenizer and the chat template decide.
            own: the same tokenizer, read from the model's files. The given tokenizer may have been changed to put a BOS in front,
                so ``own`` decides which tokens are in front and which special tokens are declared. Without ``own``, the given
                tokenizer decides.

        Raises:
            ModelError: ``prepend_bos=True`` was given and the tokenizer declares no BOS.
        """
        own = tokenizer if own is None else own
        self.hf = tokenizer
        self.prepend_bos = prepend_bos
        self.bos_id: int | None = own.bos_token_id
        eos_id: int | None = own.eos_token_id
        self.pad_id: int = next((i for i in (own.pad_token_id, eos_id, self.bos_id) if i is not None), 0)
        if prepend_bos and self.bos_id is None:
            raise ModelError(
                "prepend_bos=True was given, but this model's tokenizer declares no BOS token. Remove this argument."
            )
        self.front: tuple[int, ...] = _front_of(own) if prepend_bos is None else ()
        if prepend_bos and self.bos_id is not None:
            self.front = (self.bos_id,)

    def ids(self, prompt: Text) -> list[int]:
        """Returns the ids of the tokens in front of the text, and of the text's own tokens. The tokens in front occur only once,
        even if the text also begins with them.

        No token is put after the text.

        Args:
            prompt: a text, a ``Prompt`` or a chat.

        Raises:
            PromptError: the prompt is empty, is neither a text nor a chat, or is a chat for which the model has no template.
        """
        return self._ids(self.text(prompt), is_chat(prompt))

    def _ids(self, text: str, chat: bool) -> list[int]:
        ids: list[int] = list(self.hf(text, add_special_tokens=False)["input_ids"])
        if not chat or self.prepend_bos is not None:
            once = self.front or ((self.bos_id,) if self.prepend_bos is False and self.bos_id is not None else ())
            while once and tuple(ids[: len(once)]) == once:
                del ids[: len(once)]
            ids = [*self.front, *ids]
        if len(ids) == self.n_front(ids) or not text.strip():
            raise PromptError(
                f"prompt {text!r} is empty: expected at least one token besides the tokens that the tokenizer puts in front. "
                "Write a text, or leave this prompt out."
            )
        return ids

    def n_front(self, ids: Sequence[int]) -> int:
        """Returns the number of tokens in front of the text. They are the tokens that the tokenizer puts in front, or one BOS
        token at the start of the text or of the chat template."""
        return front_length(ids, self.front, self.bos_id)

    def text(self, prompt: Text) -> str:
        """Returns the text that is tokenized. For a chat, the model's chat template writes the text, including the beginning of
        the answer.

        Args:
            prompt: a text, a ``Prompt`` or a chat.

        Raises:
            PromptError: the prompt is neither a text nor a chat, or a chat that the model's template does not accept.
        """
        if isinstance(prompt, Prompt):
            return prompt.text
        if isinstance(prompt, str):
            return prompt
        if not is_chat(prompt):
            raise PromptError(
                f"{type(prompt).__name__} was given as a prompt: expected a text, a Prompt, or a chat. A chat is a list of "
                f"messages such as [{{'role': 'user', 'content': '…'}}]."
            )
        if not getattr(self.hf, "chat_template", None):
            raise PromptError(
                "chat messages were given, but this model's tokenizer has no chat template, because it is a base model. Give the "
                "prompt as one text."
            )
        try:
            return str(self.hf.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True))
        except Exception as error:  # chat templates are programs that raise errors of many types
            roles = ", ".join(str(message.get("role")) for message in prompt)
            raise PromptError(
                f"the model's chat template refuses messages of the roles {roles} ({error}). Many templates accept no 'system' "
                "message, and expect 'user' and 'assistant' messages in turn. Put instructions into the first 'user' message."
            ) from error

    def tokens(self, prompt: Text) -> Tokens:
        """Returns the ids and texts of the tokens of a ``prompt``."""
        ids = self.ids(prompt)
        return Tokens(tuple(ids), tuple(self.decode([i]) for i in ids), self.n_front(ids))

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of token ``ids``, including the text of special tokens."""
        return str(self.hf.decode(list(ids), clean_up_tokenization_spaces=False))

    def completion(self, ids: Sequence[int]) -> str:
        """Returns the text of generated token ``ids``, without special tokens."""
        return str(self.hf.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def split(self, prompt: Text, continuations: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Returns the tokens of a prompt and of each continuation. The boundary between prompt and continuation is the same for
        all continuations.

        A tokenizer may join the last characters of the prompt and the first characters of the continuation into one token. So
        each continuation is tokenized together with the prompt. The prompt ends at the first place where any of these token
        sequences differs from the tokens of the prompt alone. All continuations are split at this place, because otherwise their
        probabilities would be conditioned on different texts.

        Args:
            prompt: a text, a ``Prompt`` or a chat.
            continuations: the texts that may follow the prompt, such as answers that begin with a space.

        Raises:
            PromptError: the prompt is empty, there are no continuations, or a continuation adds no token.
        """
        if not continuations:
            raise PromptError(f"prompt {self.text(prompt)!r} has no choices to score: give at least one choice.")
        chat, text = is_chat(prompt), self.text(prompt)
        alone = self._ids(text, chat)
        together = [self._ids(text + continuation, chat) for continuation in continuations]
        cut = min(_common_prefix(alone, ids) for ids in together)
        for continuation, ids in zip(continuations, together, strict=True):
            if len(ids) == cut or not continuation.strip():
                raise PromptError(f"choice {continuation!r} of prompt {text!r} adds no token: expected a text to score.")
        return alone[:cut], [ids[cut:] for ids in together]

    def digest(self) -> str:
        """Returns a SHA-256 digest of three parts: the vocabulary, the token ids of test texts in several scripts, and the tokens
        that the tokenizer puts in front."""
        vocabulary = sorted((index, token) for token, index in self.hf.get_vocab().items())
        probes = [self.hf(text, add_special_tokens=False)["input_ids"] for text in _PROBES]
        return hashlib.sha256(repr((vocabulary, probes, self.front)).encode("utf-8", "surrogatepass")).hexdigest()


def _front_of(tokenizer: Any) -> tuple[int, ...]:
    """Returns the tokens that a tokenizer puts before a text by default."""
    fronts = set()
    for text in ("a", "1"):
        plain, whole = (list(tokenizer(text, add_special_tokens=special)["input_ids"]) for special in (False, True))
        at = next((at for at in range(len(whole) - len(plain) + 1) if whole[at : at + len(plain)] == plain), 0)
        fronts.add(tuple(whole[:at]))
    return fronts.pop() if len(fronts) == 1 else ()


def is_chat(prompt: object) -> bool:
    """Returns whether an object is the messages of one chat: a list or tuple of mappings with a role."""
    return (
        isinstance(prompt, list | tuple)
        and bool(prompt)
        and all(isinstance(message, Mapping) and "role" in message for message in prompt)
    )


def front_length(ids: Sequence[int], front: Sequence[int], bos_id: int | None) -> int:
    """Returns how many of a row's first ids are in front of its text.

    Args:
        ids: the token ids of the row.
        front: the tokens that the tokenizer puts in front.
        bos_id: the declared BOS. A BOS that another program wrote counts too. ``None`` if no BOS is declared.
    """
    if front and list(ids[: len(front)]) == list(front):
        return len(front)
    return int(bos_id is not None and len(ids) > 0 and ids[0] == bos_id)


def own_tokenizer(source: str, **settings: Any) -> Any:
    """Returns the tokenizer of a folder or hub id, as its own files describe it. TransformerLens puts BOS in front even if the
    files do not.

    Args:
        source: the folder or hub id.
        settings: arguments of ``AutoTokenizer.from_pretrained``.
    """
    from transformers import AutoTokenizer

    with quiet_transformers():
        return AutoTokenizer.from_pretrained(source, **settings)


def tokenizer_of_bridge(tl: Any, prepend_bos: bool | None = None) -> Tokenizer:
    """Returns a bridge's tokenizer. The tokenizer's files decide which tokens are put in front of a text, if these files are
    available.

    TransformerLens loads tokenizers so that they put BOS in front, even if the model's own tokenizer does not.

    Args:
        tl: the ``TransformerBridge`` or ``HookedTransformer``.
        prepend_bos: see ``Tokenizer``.

    Raises:
        ModelError: ``prepend_bos=True`` was given and the tokenizer declares no BOS; or there is no tokenizer.
    """
    if tl.tokenizer is None:
        raise ModelError(
            "the model has no tokenizer. Give the model a tokenizer with boot_transformers(..., tokenizer=...) or "
            "set_tokenizer(...)."
        )
    source, own = getattr(tl.tokenizer, "name_or_path", ""), None
    try:
        own = own_tokenizer(source, local_files_only=True) if source else None
    except Exception as error:
        _log.warning(
            "the model's own tokenizer cannot be read again from %s (%s), so the tokenizer that TransformerLens made is used. "
            "This tokenizer may put a BOS token in front of prompts, even if the model was trained without BOS. Look at "
            "model.tokens(prompt), and set prepend_bos of steerlens.load.",
            source,
            type(error).__name__,
        )
    return Tokenizer(tl.tokenizer, prepend_bos, own=own)


def for_a_bridge(tokenizer: Any) -> Any:
    """Returns a copy of a ``tokenizer`` from which a ``TransformerBridge`` can be made. TransformerLens does not change this
    copy.

    TransformerLens reads a tokenizer again so that it puts BOS in front. It does not do so if the tokenizer was already read with
    ``add_bos_token=True``. So the copy claims that it was read in this way.
    """
    copied = deepcopy(tokenizer)
    copied.init_kwargs["add_bos_token"] = True
    return copied


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
