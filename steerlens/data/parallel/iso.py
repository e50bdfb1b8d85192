"""The names of languages in data sets of parallel texts, which are ISO 639-3 codes, with a script where a script is needed."""

from steerlens.data.locales import locale
from steerlens.data.public.languages import LOCALES
from steerlens.errors import UnknownNameError

_CODES = (
    "af:afr am:amh ar:arb/ara as:asm az:azj/aze be:bel bg:bul bn:ben ca:cat ceb:ceb cs:ces cy:cym da:dan de:deu el:ell en:eng "
    "es:spa et:ekk/est eu:eus fa:pes/fas fi:fin fil:fil/tgl fr:fra ga:gle gl:glg ha:hau he:heb hi:hin hr:hrv hu:hun hy:hye "
    "id:ind ig:ibo it:ita ja:jpn ka:kat kk:kaz km:khm ko:kor ky:kir lt:lit lv:lvs/lav mg:plt/mlg mk:mkd ml:mal mr:mar ms:zsm/msa "
    "ne:npi/nep nl:nld no:nob/nor ny:nya pl:pol pt:por ro:ron ru:rus si:sin sk:slk sl:slv sn:sna so:som sq:als/sqi sr:srp/hbs "
    "su:sun sv:swe sw:swh/swa ta:tam te:tel th:tha tr:tur uk:ukr ur:urd uz:uzn/uzb vi:vie wo:wol yo:yor zh_cn:cmn/zho "
    "zh_tw:cmn/zho zu:zul"
)
_NAMES: dict[str, tuple[str, ...]] = {
    LOCALES[code]: tuple(names.split("/")) for code, names in (one.split(":") for one in _CODES.split())
}
"""The language and the macrolanguage of each locale, for example ``arb`` and ``ara``. A language without a macrolanguage has only
the language."""
_SCRIPTS = {"Kore": "Hang"}


def language(code: str) -> str:
    """Returns the language of a locale, for example ``arb`` for standard Arabic.

    Raises:
        UnknownNameError: the language is not known.
    """
    if code not in _NAMES:
        raise UnknownNameError("locale", code, _NAMES, "These are the locales whose language has a name in data sets.")
    return _NAMES[code][0]


def macrolanguage(code: str) -> str:
    """Returns the macrolanguage of a locale, for example ``ara`` for Arabic. Returns the language if there is no
    macrolanguage."""
    language(code)
    return _NAMES[code][-1]


def with_script(code: str) -> str:
    """Returns the language of a locale with the script in which the language is written, for example ``kor_Hang``."""
    script = locale(code).script
    return f"{language(code)}_{_SCRIPTS.get(script, script)}"


def known() -> tuple[str, ...]:
    """Returns the locales whose language has a name in data sets."""
    return tuple(_NAMES)
