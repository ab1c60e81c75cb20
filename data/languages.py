"""The language of a text by its script and frequent small words, and the stems of its words in that language.

English is stemmed by Porter's algorithm, the others by their Snowball algorithm (snowballstem.org); nltk brings both.
Arabic is not: what nltk's Arabic stemmer returns depends on the words before. Languages without a stemmer are listed
so that they are not taken for a similar one.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

import regex


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Frequent and, in this spelling, rare in other languages: "was", "in" or "a" are not.
_ENGLISH = _set("the and of with from she he they his their it this that who which were are not")
_MORE_ENGLISH = "has have had been would could should what where when how there you your my by be into about after him"
# No words that are frequent in English too ("on", "men", "per", "do").
_SMALL_WORDS = {
    "english": f"{' '.join(_ENGLISH)} {_MORE_ENGLISH}",
    "german": "und ist nicht eine einer einem einen eines wurde wird sie er es ich wir sich auch im zu zum zur mit "
              "auf für aus bei nach dem den sind ihr ihre ihren sein seine seinen seiner als wie über vom durch oder "
              "aber wo wer noch nur mehr unter vor geboren haben waren hatte wurden welche welcher welches welchem "
              "welchen warum wann der die das von",
    "french": "est et une un dans qui pour avec elle il ils sont été que qu pas aux au ses sa cette ce cet était fut "
              "où ou née né ne se nous vous leur leurs mais comme très deux ont avait quel quelle quels quelles avant "
              "de la le les du des en",
    "spanish": "es fue está y con su sus por para una un se más pero también muy ella él nació que donde dónde como "
               "desde cuando ser tiene hasta entre años sobre fueron ha había lo al en qué cuál cuándo cómo quién "
               "cuántos antes cada el la los las del de",
    "italian": "è una un nel nella nei nelle che con sono suo sua suoi ha anche più stato stata lui lei ed gli dal "
               "dalla alla al si nato nata della delle degli ma sul sulla dei quando tra quale cosa il di la le del "
               "lo",
    "portuguese": "é uma um com não para por seu sua seus suas foi em na nas ao mais como ela ele são se está tem "
                  "nasceu que muito pela pelo quando também dos das onde mas foram entre qual os da de",
    "dutch": "en een niet zijn voor dat zij ze hij werd ook aan bij uit naar wordt heeft te als om geboren haar maar "
             "het deze waar hun wie welke wanneer de van der den",
    "swedish": "och är att som på en ett för av med inte hon han till från det den var har om blev hans hennes efter "
               "också eller kan född föddes bor",
    "danish": "og er som på en et af med ikke hun han til fra det den var har om blev hans hendes efter også eller "
              "kan født blevet bor uden noget",
    "norwegian": "og er som på en et av med ikke hun han til fra det den var har om ble hans hennes etter også eller "
                 "kan født blitt bor uten noe",
    "finnish": "ja oli ei hän että joka myös kun mutta ovat niin kuin sekä hänen tai jossa syntyi olla ollut mitä",
    "hungarian": "az és egy hogy nem volt ez csak már el született aki amely vagy sem neki lett ő",
    "romanian": "și şi în este care cu din lui mai fost pentru sunt un o nu prin sau ei pe că după unde născut "
                "născută la de",
    "afrikaans": "en nie hy sy wat haar het vir te gebore ook sal aan deur die van",
    "catalan": "és amb una un que va són més molt seva seu els dels aquesta aquest ser també del on nascuda el la de "
               "les",
    "galician": "é unha un con non para por seu súa foi en na máis como ela el se está naceu que moi pola polo os da "
                "de",
    "polish": "jest się nie że jak był była oraz przez jego jej po urodziła na dla czy od który która",
    "czech": "je se že jako byl byla není ve jeho její na si od který která také",
    "croatian": "je se da koji koja bila su na za od kao nije ili rođena rođen u",
    "turkish": "ve bir bu için ile olarak çok değil olan oldu daha ne gibi kadar doğdu",
    "indonesian": "yang di dengan untuk pada dari adalah tidak ini itu dia ke seorang oleh",
}  # fmt: skip
STEMMED = ("danish", "dutch", "finnish", "french", "german", "hungarian", "italian", "norwegian", "portuguese",
           "romanian", "spanish", "swedish")  # fmt: skip
_LANGUAGES: dict[str, list[str]] = {}
for _name, _words in _SMALL_WORDS.items():
    for _word in _set(_words):
        _LANGUAGES.setdefault(_word, []).append(_name)
# Names and titles carry these into other languages: La Paz, Der Spiegel. Alone they show nothing.
_CARRIED = _set("de la le les du des el los las del il di lo os da der die das von van den en y")
LEAST = 2  # different small words, one of them not carried by names
_LATIN, _CYRILLIC = regex.compile(r"\p{Latin}+"), regex.compile(r"\p{Cyrillic}+")
# Letters that Russian lacks, a hard sign where Russian has none, and frequent Bulgarian words.
_NOT_RUSSIAN = regex.compile(r"(?V1)[\p{Cyrillic}--[а-яё]]|ъ(?![еёюя])|\b(?:е|се|са|ще|беше|като|през)\b")


def language_of(words: Sequence[str]) -> str:
    """The language of words of one text: "english", "russian", one of `STEMMED`, or "" for any other and when unsure.

    Latin script: the language with the most different small words, at least two and more than twice the English ones.
    Otherwise English, unless more than a twelfth of the words, and more than there are frequent English ones, are both
    accented and in lower case: accents in English stand mostly in names, which are capitalised.
    """
    plain = all(map(str.isascii, words))
    words = words if plain else [word for word in words if word[0].isalpha()]
    latin = words if plain else [word for word in words if _LATIN.match(word)]
    if 2 * len(latin) < len(words):
        return _cyrillic([word.lower() for word in words if _CYRILLIC.match(word)], len(words))
    written = {word for word in latin if len(word) == 1 or not word.isupper()}  # MIT and EST are no German, no French
    small = {word.lower() for word in written} & _LANGUAGES.keys()
    english = sum("english" in _LANGUAGES[word] for word in small)
    if len(small) >= max(LEAST, 2 * english + 1) and not small <= _CARRIED:
        found = Counter(name for word in small for name in _LANGUAGES[word] if name != "english")
        (name, most), (_, second) = [*found.most_common(2), ("", 0), ("", 0)][:2]
        if most >= LEAST and most > 2 * english:
            return name if most > second and name in STEMMED else ""
    return "english" if plain or _few_accents(latin) else ""


def _few_accents(latin: list[str]) -> bool:
    accented = sum(word[0].islower() and word.isalpha() and not word.isascii() for word in latin)
    return accented <= len(latin) / 12 + sum(word.lower() in _ENGLISH for word in latin)


def _cyrillic(cyrillic: list[str], count: int) -> str:
    return "russian" if 2 * len(cyrillic) > count and not _NOT_RUSSIAN.search(" ".join(cyrillic)) else ""


@functools.lru_cache(maxsize=50_000)
def stem(word: str, language: str) -> str:
    """The stem of a folded word of at least four letters in the language's script; the word itself without a stemmer.

    English words with an accent are mostly names and stay as they are.
    """
    fits = str.isascii if language == "english" else (_CYRILLIC if language == "russian" else _LATIN).fullmatch
    if not language or len(word) < 4 or not word.isalpha() or not fits(word):
        return word
    return _stemmer(language).stem(word) or word


@functools.cache
def _stemmer(language: str):
    from nltk.stem import PorterStemmer, SnowballStemmer

    return PorterStemmer() if language == "english" else SnowballStemmer(language)
