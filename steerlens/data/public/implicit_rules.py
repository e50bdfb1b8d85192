"""Rules that remove the country from questions in English, Spanish, Indonesian and Korean.

The effect of each rule was checked by reading the questions of BLEnD that the rule changes.
"""

from steerlens.data.public.implicit import Rules

_END = r"(?=\s*[?.,;:!)(]|\s*$)"

ENGLISH = Rules(
    edits=(
        # "the US's society" is a society, "the US's most popular X" is the most popular one
        (r"\b(?:the )?{C}(?:'s|’s) (society)\b", r"\1"),
        (r"\b(?:the )?{C}(?:'s|’s)(?= )", "the"),
        (r"^[Ii]n (?:the )?{C}, ", ""),
        (r"\b(original(?:ly)? from) (?:the )?{C}", r"\1 {KEEP}"),
        # an object, part or place of a country: without the country, the sentence is about the place where it is asked
        (r" (?:in|within|across|throughout|from|of) (?:the )?{C}(?![\w'’])", ""),
        (r"\b([Aa])mong the people (?=\W)", r"\1mong people"),
    ),
    tidy=(
        (r"\bamong the people(?=\?)", "among people"),
        (r"\b(for|to|among) people(?=\?)", r"\1 most people"),
        (r"\bfor foods? is\b", "for food is"),
    ),
    names=(
        # a sentence about the rest of the world needs the country
        r"\{KEEP\}|rest of the world|all over the world|\boverseas\b|\boriginated\b|"
        r"\bAmerica|United States|\bU\.?S\.?A?\.?(?![\w-])|\bUK\b|United Kingdom|\bBrit(?:ain|ish|ons?)\b|"
        r"\bEngland\b|\bSpain\b|\bSpanish|\bSpaniard|\bMexic|\bChina\b|\bChinese\b|\bIndonesia|\bKorea|\bEgypt|\bGree(?:ce|k)|"
        r"\bAlgeria|\bIran|\bEthiopia|\bNigeria|\bAzerbaijan|\bAssam|\bWest Java|\bSundanese"
    ),
)

SPANISH = Rules(
    edits=(
        (r"\bla dieta (?:española|mexicana)\b", "la dieta"),
        (r"\b(la|una) sociedad (?:española|mexicana)\b", r"\1 sociedad"),
        (r"\b(?:los|las) (?:españoles|españolas|mexicanos|mexicanas)\b", "las personas"),
        # a sentence about competing for or against a country needs the country
        (r"\b(rival|éxito|medallas|visitan?|para) (de )?{C}", r"\1 \2{KEEP}"),
        (r"(^|[¿¡(]\s*)[Ee]n {C}, ", r"\1"),
        (r"(^|[¿¡(]\s*)[Ee]n {C}\b", r"\1"),
        (r" originari([oa]s?) de {C}\b", r" originari\1{KEEP}"),
        (r" (?:en|de|dentro de|por|a lo largo de) (?:todo |toda )?{C}\b", ""),
    ),
    names=(
        r"\{KEEP\}|Españ|\bespañol|[Mm]éxico|\bmexican|Estados Unidos|estadounid|\bamerican[oa]|\b[Cc]hin[ao]s?\b|[Ii]ndonesi|"
        r"[Cc]orea|[Ee]gip|\b[Gg]reci|\b[Gg]rieg|Argeli|\bIrán\b|\biraní|Etiop|Nigeria|Azerbai|Reino Unido|británic"
    ),
)

INDONESIAN = Rules(
    edits=(
        (r"(^|\()[Dd]i Indonesia, ", r"\1"),
        (r" (?:di|dari) (?:seluruh )?Indonesia\b", ""),
        (r"\b(orang-orang|masyarakat|penduduk|warga) Indonesia\b", r"\1"),
        (r"\borang Indonesia\b", "orang-orang"),
        (r"\b(diet|bahasa resmi|masakan|televisi nasional|tim nasional sepak bola) Indonesia\b", r"\1"),
    ),
    tidy=(
        (r"\b([Mm])akanan apa yang berasal dan dapat\b", r"\1akanan apa yang dapat"),
        (r"\bterparah di seluruh(?=\?)", "terparah"),
    ),
    names=(
        r"Indonesia|Amerika|Spanyol|\bCina\b|China|Tiongkok|Korea|Mesir|Yunani|Aljazair|\bIran\b|Etiopia|Nigeria|Azerbaijan|"
        r"Meksiko|Britania|Jawa Barat"
    ),
)

KOREAN = Rules(
    edits=(
        (r"(?:{C}) 사회에서(?:는)?\s*,?\s*", ""),
        # a country that is subject or object of the sentence stays, because the sentence needs it
        (r"{C}(이|가|을|를|은|는|과|와|으로|로|대)(?=[\s,])", r"{KEEP}\1"),
        (r"{C}(?=의 [^?]*라이벌)", "{KEEP}"),
        (r"(?:{C})에서의 ", ""),
        (r"(?:{C})(?:에서는|에서만|에서도|에서|에선|에는|에도|에|의|인들의)\s*,?\s*", ""),
        (r"(?:{C})인(?=[은이을들에])", "사람"),
        # a country in front of the noun that it modifies: "대한민국 학교"
        (r"(?:{C}) (?=\S)", ""),
    ),
    names=(
        # an age that is counted in the Korean way changes the right answer, and a holiday of one country names the country
        r"\{KEEP\}|세는 나이|광복절|해외 식당|전 세계에서 찾을|"
        r"한국|대한민국|대힌민국|북한|조선|공화국|남한|미국|영국|스페인|멕시코|중국|인도네시아|이집트|그리스(?!도)|알제리|"
        r"이란(?=[의에은이 ])|에티오피아|나이지리아|아제르바이잔"
    ),
)
