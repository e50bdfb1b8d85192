"""Loads multiple-choice exams in many languages: Global-MMLU, MMLU-ProX, MMMLU and INCLUDE."""

import ast
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from steerlens.data.items import Item, Items
from steerlens.data.public.gathering import Gathering
from steerlens.data.public.hub import source_of
from steerlens.data.public.languages import LOCALES, chosen, of_codes
from steerlens.data.public.mapping import Columns, gather
from steerlens.errors import UnknownNameError

Sensitivity = Literal["CS", "CA"]

_GLOBAL_MMLU = of_codes(
    "am ar bn cs de el en es fa fil fr ha he hi id ig it ja ko ky lt mg ms ne nl ny pl pt ro ru si sn so sr sv sw te tr uk vi "
    "yo zh"
)
_MMLU_PROX = of_codes("af ar bn cs de en es fr hi hu id it ja ko mr ne pt ru sr sw te th uk ur vi wo yo zh zu")
_MMMLU = {
    LOCALES["ar"]: "AR_XY",
    "bn-BD": "BN_BD",
    "de-DE": "DE_DE",
    "es-419": "ES_LA",
    "fr-FR": "FR_FR",
    "hi-IN": "HI_IN",
    "id-ID": "ID_ID",
    "it-IT": "IT_IT",
    "ja-JP": "JA_JP",
    "ko-KR": "KO_KR",
    "pt-BR": "PT_BR",
    "sw-KE": "SW_KE",
    "yo-NG": "YO_NG",
    "zh-CN": "ZH_CN",
}
_INCLUDE_NAMES = (
    "Albanian:sq Arabic:ar Armenian:hy Azerbaijani:az Basque:eu Belarusian:be Bengali:bn Bulgarian:bg Chinese:zh "
    "Croatian:hr Dutch:nl Estonian:et Finnish:fi French:fr Georgian:ka German:de Greek:el Hebrew:he Hindi:hi "
    "Hungarian:hu Indonesian:id Italian:it Japanese:ja Kazakh:kk Korean:ko Lithuanian:lt Malay:ms Malayalam:ml "
    "Nepali:ne North_Macedonian:mk Persian:fa Polish:pl Portuguese:pt Russian:ru Serbian:sr Spanish:es Tagalog:fil "
    "Tamil:ta Telugu:te Turkish:tr Ukrainian:uk Urdu:ur Uzbek:uz Vietnamese:vi"
)
_INCLUDE = {LOCALES[code]: name for name, code in (pair.split(":") for pair in _INCLUDE_NAMES.split())}
_INCLUDE["mk-MK"] = "North Macedonian"
_LETTERED = Columns("question", ("option_a", "option_b", "option_c", "option_d"), "answer", "sample_id", answers="letter")
_ANNOTATED = ("culture", "region", "country")


def global_mmlu(
    locales: Iterable[str],
    *,
    lite: bool = False,
    split: str = "test",
    sensitivity: Sensitivity | None = None,
    revision: str | None = None,
    path: str | Path | None = None,
) -> Items:
    """Returns the items of Global-MMLU (arXiv 2412.03304): MMLU in 42 languages, with labels of cultural sensitivity.

    Items are factual and parallel, and the id of the concept is the id of the sample. The ``tags`` of an item contain its label
    and the annotated ``culture:``, ``region:`` and ``country:``. The label is ``CS`` (culturally sensitive), ``CA`` (culturally
    agnostic) or ``-`` (not annotated).

    Args:
        locales: locales or the data set's language codes. English is always included.
        lite: whether the smaller, balanced data set Global-MMLU-Lite is read.
        split: the data set's split, ``test`` or ``dev``.
        sensitivity: the label of the items that are kept: ``CS``, ``CA`` or ``-``. ``None`` keeps all items.
        revision: a commit hash of the data set. ``None`` reads the current version on the hub.
        path: a local folder that is read instead of the hub.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: the data set lacks a column, or an answer is not among the choices.
        UnknownNameError: one of the given locales or labels is not in the data set.
    """
    if sensitivity not in (None, "CS", "CA", "-"):
        raise UnknownNameError("sensitivity", sensitivity, ("CS", "CA", "-"))
    name = "global-mmlu-lite" if lite else "global-mmlu"
    gathering = Gathering(name)

    def change(row: dict[str, Any], item: Item) -> Item | None:
        label = str(row.get("cultural_sensitivity_label") or "-")
        if sensitivity not in (None, label):
            return None
        return replace(item, topic=str(row.get("subject") or ""), tags=(label, *_annotations(row)))

    for code, config in chosen(locales, _GLOBAL_MMLU, name).items():
        gather(gathering, source_of(name, revision, path), config, split, code, _LETTERED, change)
    return gathering.finish()


def mmlu_prox(
    locales: Iterable[str],
    *,
    lite: bool = False,
    split: str = "test",
    revision: str | None = None,
    path: str | Path | None = None,
) -> Items:
    """Returns the items of MMLU-ProX (arXiv 2503.10497): MMLU-Pro in 29 languages, with up to ten choices per question.

    Items are factual. Items are parallel by ``question_id`` if the rows have this column, and otherwise by row number.

    Args:
        locales: locales or the data set's language codes. English is always included.
        lite: whether the smaller data set MMLU-ProX-Lite is read.
        split: the data set's split, such as ``test`` or ``validation``.
        revision: a commit hash of the data set. ``None`` reads the current version on the hub.
        path: a local folder that is read instead of the hub.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: the data set lacks a column, or an answer is not among the choices.
        UnknownNameError: one of the given locales is not in the data set.
    """
    name = "mmlu-prox-lite" if lite else "mmlu-prox"
    gathering = Gathering(name)
    columns = Columns("question", tuple(f"option_{n}" for n in range(10)), "answer", topic="category", answers="letter")

    def change(row: dict[str, Any], item: Item) -> Item:
        return item if row.get("question_id") is None else replace(item, concept=str(row["question_id"]))

    for code, config in chosen(locales, _MMLU_PROX, name).items():
        gather(gathering, source_of(name, revision, path), config, split, code, columns, change)
    return gathering.finish()


def mmmlu(locales: Iterable[str], *, split: str = "test", revision: str | None = None, path: str | Path | None = None) -> Items:
    """Returns the items of MMMLU: MMLU, which people translated into 14 languages.

    Items are factual and parallel by row. The data set has no English part, so use ``global_mmlu`` for EN pairs.

    Args:
        locales: locales or the data set's codes, such as ``ES_LA``.
        split: the data set's split. The data set has only ``test``.
        revision: a commit hash of the data set. ``None`` reads the current version on the hub.
        path: a local folder that is read instead of the hub.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: the data set lacks a column, or an answer is not among the choices.
        UnknownNameError: one of the given locales is not in the data set.
    """
    gathering = Gathering("mmmlu")
    columns = Columns("Question", ("A", "B", "C", "D"), "Answer", topic="Subject", answers="letter")
    for code, config in chosen(locales, _MMMLU, "mmmlu").items():
        gather(gathering, source_of("mmmlu", revision, path), config, split, code, columns)
    return gathering.finish()


def include(locales: Iterable[str], *, split: str = "test", revision: str | None = None, path: str | Path | None = None) -> Items:
    """Returns the items of INCLUDE (arXiv 2411.19799): exams that were written in the countries of the languages, in 44
    languages.

    Items are factual. Items are not parallel, because each language has its own questions. The data set has no English part.
    The ``tags`` of an item contain ``country:``, ``domain:`` and ``regional:``.

    Args:
        locales: locales or the data set's names of languages, such as ``Spanish``.
        split: the data set's split, such as ``test`` or ``validation``.
        revision: a commit hash of the data set. ``None`` reads the current version on the hub.
        path: a local folder that is read instead of the hub.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: the data set lacks a column, or an answer is not among the choices.
        UnknownNameError: one of the given locales is not in the data set.
    """
    gathering = Gathering("include")
    options = ("option_a", "option_b", "option_c", "option_d")

    def change(row: dict[str, Any], item: Item) -> Item:
        named = {"country": row.get("country"), "domain": row.get("domain"), "regional": row.get("regional_feature")}
        tags = tuple(f"{name}:{value}" for name, value in named.items() if value)
        return replace(item, concept=f"{item.locale}/{item.concept}", topic=str(row.get("subject") or ""), tags=tags)

    for code, config in chosen(locales, _INCLUDE, "include").items():
        source = source_of("include", revision, path)
        columns = Columns("question", options, "answer", answers="index")
        gather(gathering, source, config, split, code, columns, change)
    return gathering.finish()


def _annotations(row: dict[str, Any]) -> list[str]:
    """Returns the tags from the annotation columns, which contain lists that are written as text."""
    tags = []
    for column in _ANNOTATED:
        try:
            values = ast.literal_eval(str(row.get(column) or "[]"))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue  # a remark instead of a list is not a tag
        tags += [f"{column}:{value}" for value in (values if isinstance(values, list) else [values])]
    return list(dict.fromkeys(tags))
