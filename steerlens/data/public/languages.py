"""The names of languages in public data sets, and the locales of these languages."""

from collections.abc import Iterable, Mapping

from steerlens.data.locales import ENGLISH
from steerlens.errors import DataError, UnknownNameError

_CODES = (
    "af-ZA am-ET ar-EG as-IN az-AZ be-BY bg-BG bn-BD ca-ES ceb-PH cs-CZ cy-GB da-DK de-DE el-GR en-US es-ES et-EE eu-ES fa-IR "
    "fi-FI fil-PH fr-FR ga-IE gl-ES ha-NG he-IL hi-IN hr-HR hu-HU hy-AM id-ID ig-NG it-IT ja-JP ka-GE kk-KZ km-KH ko-KR ky-KG "
    "la-VA lt-LT lv-LV mg-MG mk-MK ml-IN mr-IN ms-MY ne-NP nl-NL ny-MW pl-PL pt-BR ro-RO ru-RU si-LK sk-SK sl-SI sn-ZW "
    "so-SO sq-AL sr-RS su-ID sv-SE sw-KE ta-IN te-IN th-TH tr-TR uk-UA ur-PK uz-UZ vi-VN wo-SN yo-NG zh-CN zu-ZA"
)
LOCALES: dict[str, str] = {
    **{code.split("-")[0]: code for code in _CODES.split()},
    "no": "nb-NO",
    "zh_cn": "zh-CN",
    "zh_hk": "zh-HK",
    "zh_tw": "zh-TW",
}
"""The locale of each language code, which is the language with its default region."""


def of_codes(codes: str) -> dict[str, str]:
    """Returns the data set's code for each locale. The argument contains the data set's codes, separated by spaces."""
    return {LOCALES[code]: code for code in codes.split()}


def chosen(locales: Iterable[str], have: Mapping[str, str], data_set: str, *, english: bool = True) -> dict[str, str]:
    """Returns the wanted locales, with the data set's name for each locale.

    Args:
        locales: locale codes or the data set's own names.
        have: the data set's name for each locale that it has.
        english: whether English is always included and comes first. EN pairs need English.

    Raises:
        UnknownNameError: one of the given locales is not in the data set.
        DataError: no locale is given.
    """
    if isinstance(locales, str):
        locales = (locales,)
    back = {name: code for code, name in have.items()}
    wanted = [ENGLISH] if english and ENGLISH in have else []
    for name in locales:
        code = name if name in have else back.get(name)
        if code is None:
            raise UnknownNameError("locale", name, have, f"These are the locales of {data_set}.")
        wanted.append(code)
    if not wanted:
        raise DataError(f"no locales given: expected some locales of {data_set}, such as {', '.join(list(have)[:3])}.")
    return {code: have[code] for code in dict.fromkeys(wanted)}
