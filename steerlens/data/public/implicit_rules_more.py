"""Rules that remove the country from questions in Chinese, Greek, Arabic, Persian, Azerbaijani, Sundanese, Hausa, Amharic and
Assamese.

The rules in this module remove the country from fewer questions than the rules in ``implicit_rules``. If the result might not be
grammatical, the country is not removed and the question is left out.
"""

from steerlens.data.public.implicit import Rules

CHINESE = Rules(
    edits=(
        # a country that won or hosts something, or from which someone came
        (r"{C}(?=在奥运|赢|获得|夺|足球队|国家队|队)", "{KEEP}"),
        (r"(?:来自|起源于|源自|访问|前往)(?:于)?{C}", "{KEEP}"),
        (r"(与|和|对|跟|被|比|给|去|到|向){C}(?!人)", r"\1{KEEP}"),
        (r"在{C}(?:社会(?:中|里|上)?)[，,]?", "在社会中，"),
        (r"在{C}的(?=[^，,？?]*?(?:里|中|上|内)[，,])", "在"),
        (r"在{C}(?:境内|国内)?[，,]", ""),
        (r"在{C}(?=的)", "{KEEP}"),
        (r"在{C}(?=(?:中小学|小学|中学|高中|大学|学校|公司)[，,里中内])", "在"),
        (r"在{C}(?:境内|国内)?", ""),
        (r"{C}人(?!民|口)", "人们"),
        (r"{C}(?:国内|境内)?的", ""),
        (r"{C}(?=[^\W\d_]|\d)", ""),
    ),
    names=r"\{KEEP\}|在[^，,？?]*[中里上内][，,]在|中餐|中式|国产|中国|中华|美国|西班牙|印尼|印度尼西亚|韩国|朝鲜|埃及|希腊|英国|墨西哥|伊朗|阿尔及利亚|埃塞俄比亚|尼日利亚|阿塞拜疆",
)

GREEK = Rules(
    edits=(
        (r"(^|\()[Σσ]την {C}, ", r"\1"),
        (r" (?:στην|από την|σε όλη την) {C}(?!\w)", ""),
        (r"\b(στην|της|την|η) ελληνική(ς?) κοινωνία(ς?)\b", r"\1 κοινωνία\3"),
        (r"\b(διατροφή|κοινωνία|πόλη|περιοχή|προϊόν|φαγητό|γιορτή|φεστιβάλ) της {C}(?!\w)", r"\1"),
        (r"\bτους Έλληνες\b", "τους ανθρώπους"),
        (r"\bοι Έλληνες\b", "οι άνθρωποι"),
        (r"\bτων Ελλήνων\b", "των ανθρώπων"),
    ),
    names=(
        r"[Εε]λλάδ|[Εε]λλην|[Έέ]λλην|[Αα]μερικ|ΗΠΑ|[Ιι]σπαν|[Κκ]ίνα(?!\w)|[Κκ]ινέζ|[Ιι]νδονησ|[Κκ]ορέα|[Κκ]ορεατ|[Αα]ίγυπτ|"
        r"[Αα]ιγύπτ|[Αα]ιγυπτ|Μεξικ|Βρετανί|Αλγερί|Ιράν|Αιθιοπί|Νιγηρί|Αζερμπαϊτζάν"
    ),
)

ARABIC = Rules(
    edits=(
        (r"(?:^|(?<=\())في {C}، ?", ""),
        (r" (?:داخل|عبر) {C}(?!\w)", ""),
        (r" في {C}(?!\w)", ""),
        (r"\b(المجتمع|النظام الغذائي|المطبخ) (?:الجزائري|المصري)(?!\w)", r"\1"),
        (r"\bللشعب (?:الجزائري|المصري)(?!\w)", "للناس"),
        (r"\b(?:الشعب|المواطن) (?:الجزائري|المصري)(?!\w)", "الناس"),
        (r"(?<!\w)(?:الجزائريون|الجزائريين|المصريون|المصريين)(?!\w)", "الناس"),
        (r"(?<!\w)من {C}(?= [يت])", "{KEEP}"),
    ),
    names=(
        r"\{KEEP\}|جزائر|مصر|أمريك|الولايات المتحدة|إسبان|الصين|صيني|إندونيس|كوري|اليونان|يوناني|إيران|إثيوبي|نيجيري|"
        r"أذربيجان|المكسيك|بريطاني|المملكة المتحدة"
    ),
)

PERSIAN = Rules(
    edits=(
        (r"(?<!\w)در ?{C}،? ?", ""),
        (r"(?<!\w)(مردم|جوانان|خانواده‌?های|مدارس) ?{C}(?!\w)", r"\1"),
        (r"(?<!\w)ایرانی‌?(?:ها|ان)(?!\w)", "مردم"),
    ),
    names=(
        r"ایران|آمریکا|امریکا|اسپانیا|چین(?!\w)|اندونزی|کره(?= )|مصر(?!\w)|یونان|الجزایر|اتیوپی|نیجریه|آذربایجان|مکزیک|بریتانیا|"
        r"انگلستان"
    ),
)

AZERBAIJANI = Rules(
    edits=(
        # the locative is removed; without the genitive, the possessive ending of the noun would have no owner
        (r"(?<!\w)Azərbaycanda(?:kı)?(?!\w) ?", ""),
        (r"(?<!\w)Azərbaycandan olan ", ""),
        (r"(?<!\w)Azərbaycan cəmiyyətində(?!\w)", "cəmiyyətdə"),
        (r"(?<!\w)[Aa]zərbaycanlılar(?!\w)", "insanlar"),
    ),
    dotted=True,
    names=r"[Aa]zərbaycan|Amerika|ABŞ|İspani|\bÇin\b|İndoneziya|Koreya|Misir|Yunan|Əlcəzair|İran|Efiopiya|Nigeriya|Meksika|Britaniya",
)

SUNDANESE = Rules(
    edits=(
        (r"(^|\()[Dd]i (?:Jawa Barat|Tatar Sunda), ", r"\1"),
        (r" (?:di|ti) (?:sakuliah )?(?:Jawa Barat|Tatar Sunda)\b", ""),
        (r"\b(urang|jalma) (?:Jawa Barat|Sunda)\b", "jalma"),
        (r"\b(masarakat) (?:Jawa Barat|Sunda)\b", r"\1"),
    ),
    names=r"Jawa Barat|\bSunda|Indonesia|Amerika|Spanyol|\bCina\b|Koréa|Mesir|Yunani|Aljazair|\bIran\b|Nigeria|Méksiko",
)

HAUSA = Rules(
    edits=(
        (r"(^|\()[Aa] (?:A|a)rewacin (?:N|n)ajeriya, ", r"\1"),
        (r" (?:a|daga) (?:A|a)rewacin (?:N|n)ajeriya\b", ""),
    ),
    names=r"[Nn]ajeriya|[Aa]rewa|Amurka|Sifen|Sin\b|Indonesiya|Koriya|Masar|Girka|Aljeriya|Iran|Habasha|Meziko|Burtaniya",
)

AMHARIC = Rules(
    edits=((r"(?<!\w)በኢትዮጵያ(?: ውስጥ)?[፣,]? ?", ""), (r"(?<!\w)የኢትዮጵያ (?=\w)", "")),
    names=r"ኢትዮጵያ|አሜሪካ|ስፔን|ቻይና|ኢንዶኔዥያ|ኮሪያ|ግብጽ|ግሪክ|አልጄሪያ|ኢራን|ናይጄሪያ|አዘርባጃን|ሜክሲኮ|እንግሊዝ",
)

ASSAMESE = Rules(
    edits=((r"(?<!\S)অসমত,? ?", ""), (r"(?<!\S)অসমৰ (?=\S)", "")),
    names=r"অসম(?![ীা-্\w])|অসমত|অসমৰ|অসমীয়া|ভাৰত|আমেৰিকা|স্পেইন|চীন|ইণ্ডোনেছিয়া|কোৰিয়া|গ্ৰীচ|ইৰাণ|মেক্সিকো",
)
