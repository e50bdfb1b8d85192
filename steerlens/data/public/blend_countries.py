"""The countries of BLEnD, with their locales, their names in the files of the data set, and the names that their people use."""

from dataclasses import dataclass

from steerlens.data.public.implicit import Rules
from steerlens.data.public.implicit_rules import ENGLISH, INDONESIAN, KOREAN, SPANISH
from steerlens.data.public.implicit_rules_more import (
    AMHARIC,
    ARABIC,
    ASSAMESE,
    AZERBAIJANI,
    CHINESE,
    GREEK,
    HAUSA,
    PERSIAN,
    SUNDANESE,
)


@dataclass(frozen=True)
class Country:
    """A country of BLEnD."""

    locale: str
    file: str
    """The name of the country in file names and in the multiple-choice questions."""
    own: str
    """A regular expression for the names of the country and its people in the questions of this country."""
    rules: Rules
    yours: tuple[str, str] | None = None
    """A regular expression for "your country", and the name that replaces it to make a question explicit. ``None`` means that the
    questions do not use these words."""


COUNTRIES: dict[str, Country] = {
    country.locale: country
    for country in (
        Country("en-US", "US", r"\bUnited States|\bU\.?S\.?A?\b|\bAmerica", ENGLISH),
        Country("en-GB", "UK", r"\bUnited Kingdom|\bUK\b|\bBritain|\bBritish", ENGLISH),
        Country("es-ES", "Spain", r"España|[Ee]spañol(?:es|as?)?\b", SPANISH),
        Country("es-MX", "Mexico", r"México|[Mm]exican[oa]s?\b", SPANISH),
        Country("zh-CN", "China", r"中国", CHINESE),
        Country("id-ID", "Indonesia", r"Indonesia", INDONESIAN),
        Country("ko-KR", "South_Korea", r"대한민국|대힌민국|한국", KOREAN),
        Country("ko-KP", "North_Korea", r"북한|조선민주주의인민공화국|조선", KOREAN),
        Country("el-GR", "Greece", r"Ελλάδ(?:α|ας)|[Εε]λλην|Έλλην", GREEK),
        Country("ar-DZ", "Algeria", r"الجزائر|للجزائر|جزائري", ARABIC),
        Country("fa-IR", "Iran", r"ایران", PERSIAN, yours=(r"کشور(?:تان| شما)", "ایران")),
        Country("az-AZ", "Azerbaijan", r"[Aa]zərbaycan", AZERBAIJANI),
        Country("su-ID", "West_Java", r"Jawa Barat|\bSunda\b", SUNDANESE),
        Country("ha-NG", "Northern_Nigeria", r"[Nn]ajeriya", HAUSA),
        Country("am-ET", "Ethiopia", r"ኢትዮጵያ", AMHARIC),
        Country("as-IN", "Assam", r"অসম", ASSAMESE),
    )
}
