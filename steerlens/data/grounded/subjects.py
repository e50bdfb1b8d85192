"""Which countries, cities, languages and elements are asked about: the well known ones, typed; what is said of them is looked up."""

OWN = frozenset("US ES CN ID KR EG GR".split())
"""Countries of the atlas's locales: their capitals, calling codes and domains are answers of cultural items."""

CAPITALS = tuple(
    "JP TH IN VN MY PH PK BD NP KH LA MN UZ AF IR IQ SA AE QA OM YE JO LB SY TR GE AM AZ KG TJ KP MV "
    "FR IT DE RU GB PT AT NO PL NL BE CH SE DK FI IS IE CZ SK HU RO BG RS HR SI BA AL MK ME UA BY LV LT EE MD MT CY "
    "KE MA LY SD ET UG RW SO NG GH SN ML CM CD AO ZM ZW MZ MG NA TD BW LR TG "
    "CU CA JM HT HN NI CR PE AR CL CO VE EC PY UY AU NZ FJ PG".split()
)

CONTINENTS = tuple(
    "JP CN IN KR TH VN MY PH PK BD NP KH LA MN AF IR IQ SA SY JO YE UZ "
    "GB FR DE IT PT NL BE CH AT SE NO DK FI IE PL CZ HU RO BG GR RS UA "
    "MA DZ TN LY SD ET KE TZ UG RW NG GH SN CI ML CM AO ZM ZW MZ "
    "US CA MX CU JM HT BR AR CL PE CO VE EC BO PY UY AU NZ FJ PG".split()
)
"""Countries on one continent: Russia, Turkey, Egypt, Kazakhstan, Indonesia and others on two are left out."""

CITIES = (
    "barcelona ES Barcelona; seville ES Sevilla; bilbao ES Bilbao; milan IT Milan; venice IT Venice; naples IT Naples; "
    "turin IT Turin; florence IT Florence; lyon FR Lyon; marseille FR Marseille; nice FR Nice; munich DE Munich; "
    "hamburg DE Hamburg; frankfurt DE Frankfurt am Main; cologne DE Köln; salzburg AT Salzburg; geneva CH Geneva; "
    "Europe/Zurich CH Zürich; porto PT Porto; rotterdam NL Rotterdam; antwerp BE Antwerp; manchester GB Manchester; "
    "liverpool GB Liverpool; edinburgh GB Edinburgh; gothenburg SE Gothenburg; bergen NO Bergen; krakow PL Kraków; "
    "gdansk PL Gdańsk; dubrovnik HR Dubrovnik; thessaloniki GR Thessaloníki; lviv UA Lviv; odesa UA Odesa; "
    "saint-petersburg RU Saint Petersburg; Asia/Vladivostok RU Vladivostok; Asia/Novosibirsk RU Novosibirsk; "
    "Europe/Istanbul TR Istanbul; izmir TR İzmir; antalya TR Antalya; alexandria EG Alexandria; luxor EG Luxor; "
    "Africa/Casablanca MA Casablanca; marrakesh MA Marrakesh; Africa/Lagos NG Lagos; "
    "Africa/Johannesburg ZA Johannesburg; cape-town ZA Cape Town; mombasa KE Mombasa; "
    "Africa/Dar_es_Salaam TZ Dar es Salaam; Africa/Abidjan CI Abidjan; haifa IL Haifa; jeddah SA Jeddah; mecca SA Makkah; "
    "Asia/Dubai AE Dubai; aleppo SY Aleppo; basra IQ Basrah; isfahan IR Isfahan; Asia/Karachi PK Karachi; "
    "lahore PK Lahore; mumbai IN Mumbai; kolkata IN Kolkata; chennai IN Chennai; Asia/Samarkand UZ Samarkand; "
    "Asia/Almaty KZ Almaty; chiang-mai TH Chiang Mai; phuket TH Phuket; cebu PH Cebu City; Asia/Shanghai CN Shanghai; "
    "guangzhou CN Guangzhou; shenzhen CN Shenzhen; osaka JP Osaka; kyoto JP Kyoto; hiroshima JP Hiroshima; "
    "busan KR Busan; incheon KR Incheon; surabaya ID Surabaya; bandung ID Bandung; Australia/Sydney AU Sydney; "
    "Australia/Melbourne AU Melbourne; Australia/Brisbane AU Brisbane; Pacific/Auckland NZ Auckland; "
    "America/New_York US New York City; America/Chicago US Chicago; America/Los_Angeles US Los Angeles; "
    "san-francisco US San Francisco; boston US Boston; miami US Miami; America/Toronto CA Toronto; "
    "America/Vancouver CA Vancouver; montreal CA Montréal; America/Cancun MX Cancún; acapulco MX Acapulco de Juárez; "
    "medellin CO Medellín; America/Guayaquil EC Guayaquil; cusco PE Cusco; America/Sao_Paulo BR São Paulo; "
    "rio BR Rio de Janeiro"
)
"""Key (a time zone, where CLDR names the city for it), country, name in GeoNames."""

NEIGHBOURS = tuple(
    "PT FR DE IT CH AT BE NL DK PL CZ HU RO GR BG UA NO SE FI HR RS TH VN LA MY NP IN PK AF IR IQ SY JO YE BD MN "
    "EG LY MA TN SD ET KE UG NG GH MZ ZW NA MX US GT BR AR CL PE CO VE UY PY".split()
)

LANGUAGES = tuple(
    "MX AR CO CL CU VE CR UY PA GT HN NI BR AO MZ AT LI SN CI CD GA TG GN MC GB GH ZM JM LR SL NA BS GY "
    "EG IQ JO LB SY KW QA OM YE BH LY MR IR NL SR KH BN MD SM AD".split()
)

CURRENCIES = tuple(
    "JP CN IN PK NP RU CH NO SE DK CZ MX AR CO CL CU PH UY BR PE VE GT HN PY CR TH KH LA BD MY TR UA PL HU RO MD AL "
    "KZ MN GE AM AZ IL ZA NG GH ET KE TZ UG AO ZM MZ IQ JO KW DZ TN LY RS MA AE IR OM YE SA QA "
    "FR DE IT PT NL AT FI IE BE GR ES".split()
)

UNITS = {
    **{code: "rupee" for code in ("INR", "PKR", "NPR")},
    **{code: "peso" for code in ("MXN", "ARS", "COP", "CLP", "CUP", "PHP", "UYU")},
    **{code: "shilling" for code in ("KES", "TZS", "UGX")},
    **{code: "dinar" for code in ("IQD", "JOD", "KWD", "DZD", "TND", "LYD", "RSD")},
    **{code: "leu" for code in ("RON", "MDL")},
    **{code: "krone" for code in ("NOK", "DKK")},
    **{code: "dirham" for code in ("MAD", "AED")},
    **{code: "rial" for code in ("IRR", "OMR", "YER")},
    **{code: "riyal" for code in ("SAR", "QAR")},
    **dict(
        pair.split(":")
        for pair in (
            "JPY:yen CNY:yuan KRW:won RUB:ruble EUR:euro GBP:pound CHF:franc SEK:krona CZK:koruna BRL:real PEN:sol "
            "VES:bolivar GTQ:quetzal HNL:lempira PYG:guarani CRC:colon THB:baht VND:dong KHR:riel LAK:kip BDT:taka "
            "MYR:ringgit TRY:lira UAH:hryvnia PLN:zloty HUF:forint ALL:lek KZT:tenge MNT:tugrik GEL:lari AMD:dram "
            "AZN:manat ILS:shekel ZAR:rand NGN:naira GHS:cedi ETB:birr AOA:kwanza ZMW:kwacha MZN:metical"
        ).split()
    ),
}
"""The unit that a currency counts in: what people call it at home. Dollars are left out, whose Chinese names tell the country."""

SIGNS = {
    "EUR": "de_DE",
    "GBP": "en_GB",
    "INR": "hi_IN",
    "KRW": "ko_KR",
    "RUB": "ru_RU",
    "TRY": "tr_TR",
    "ILS": "he_IL",
    "VND": "vi_VN",
    "PHP": "fil_PH",
    "UAH": "uk_UA",
    "KZT": "kk_KZ",
    "NGN": "en_NG",
    "GEL": "ka_GE",
    "MNT": "mn_MN",
    "CRC": "es_CR",
}
"""Currencies with a sign of their own, and the locale whose people write it."""

CALLED = tuple(
    "JP IN TH VN MY PH SG PK BD IR IQ SA AE IL TR GB FR DE IT PT NL BE CH AT SE NO DK FI IE PL CZ HU RO UA MA KE NG ET GH ZA "
    "BR AR CL PE CO VE MX CU AU NZ".split()
)
"""Countries with a calling code to themselves."""

DOMAINS = tuple(
    "JP DE CH AT ZA PL PT IE DK UA RS LV LT EE MY VN KH LA MM MX CL DZ PK BD LK BY MV AE SV GT TR HR SK SI BA KE AM AU".split()
)

SCRIPTS = tuple("ru uk bg be mk fa ur hi mr ne tr vi id ms sw pl cs fi hu sv ro da yi".split())
"""Languages with one usual script, whose name is not the language's own."""

SYMBOLS = tuple("Na Mg Mn Fe Cu Zn As Sr Zr Ag Cd Sn Sb Cs Pt Au Hg Pb Rn Pu".split())
ELEMENTS = ("H", "C", "N", "O", "F", "P", "S", "K", "I", "U", "W", "V", "B", *SYMBOLS)
NUMBERED = tuple("H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Fe Ni Cu Zn Br Ag Sn I Pt Au Hg Pb U".split())
