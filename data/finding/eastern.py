"""Names in Chinese, Japanese and Korean letters, which are written with and without a space, and inside longer runs.

is_eastern("田中太郎")                  # True
runs_on("国王明天到", 1, 3)             # True: 王明 is part of other words there
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import regex

_EASTERN = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}ー々]+|\p{Hangul}+")
_HAN, _HANGUL = regex.compile(r"[\p{Han}々]"), regex.compile(r"\p{Hangul}")
_KANA = (regex.compile(r"\p{Hiragana}"), regex.compile(r"[\p{Katakana}ー]"))
DOT = regex.compile(r"(?<=[\p{Han}\p{Katakana}ー])[·・･‧](?=[\p{Han}\p{Katakana}])")  # 约翰·史密斯
GAP = "[ ·・‧]?"
CHANCE = 3  # letters; a longer name does not arise by chance from the ends of two words
TITLES = "さん|様|さま|氏|君|くん|ちゃん|先生|殿|選手|監督|教授|社長|先輩|部長|議員|女士|小姐|老师|老師|同学|同學"
KOREAN_TITLES = "씨|님|군|양|선생|교수|박사|사장|대통령"
# letters that end a word before a name, and that begin one after it
LEFT = frozenset(
    "的了是在和与與及跟或对對向给給问問谁誰请請见見找叫说說让讓把被由从從为為以人家者员員"
    "师師长長授士生手星友哥姐弟妹父母子儿女叔伯天日年月后後前时時中上里裏地"
)
RIGHT = frozenset(
    "的了是在和与與及跟或也都就才又很不没有曾已将將被把给給让讓叫对對向从從为為以于於说說"
    "讲講写寫著出生任担當当获獲得住来來去到会會能可要想认認表发發创創参參加毕畢学學做作由"
    "其等先女老总總教师師氏君様殿"
)
KANA_BESIDE = frozenset("はがをにのもとでへやさちくよかね")
PARTICLES = frozenset("은는이가을를의에와과도로으만께한보까부처씨님군양아야라며인랑였입선교박")


def is_eastern(text: str) -> bool:
    """Whether a text without spaces is in the letters of one of these languages."""
    return bool(_EASTERN.fullmatch(text))


def writings(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(kind, pattern) of each writing of a name: with and without spaces; of a name without them, parts of it."""
    yield "full name", GAP.join(_spread(word) for word in words)
    name, size = words[0], len(words[0])
    if len(words) > 1:
        return
    if _HANGUL.match(name):
        surnames = "|".join(name[:cut] for cut in ((1, 2) if size > 3 else (1,)))
        yield "only surname", rf"(?<!\p{{L}})(?:{surnames}) ?(?:{KOREAN_TITLES})(?!\p{{Hangul}}{{2}})"
        if size > 2:
            yield "only first name", rf"(?<!\p{{L}}){name[1:]}"
    elif _HAN.search(name):
        surnames = "|".join(name[:cut] for cut in range(size - 1, max(1, size // 2) - 1, -1))
        yield "only surname", rf"(?<![\p{{Han}}々])(?:{surnames})(?:{TITLES})"


def _spread(word: str) -> str:
    """A word with a possible space: after each letter, in Korean after the surname."""
    if not _HANGUL.match(word):
        return GAP.join(word)
    gaps = {1} if len(word) == 3 else {1, 2} if len(word) > 3 else set()
    return "".join(f"{GAP if at in gaps else ''}{letter}" for at, letter in enumerate(word))


def needles(words: Sequence[str]) -> set[str]:
    """Letters of which a text with the name, or with a part of it, has at least one."""
    return {word[0] for word in words} | {word[1] for word in words if _HANGUL.match(word) and len(word) > 2}


def runs_on(flat: str, start: int, end: int) -> bool:
    """Whether letters beside a mention may make other words of it."""
    left, right = flat[start - 1 : start], flat[end : end + 1]
    if _HANGUL.match(flat[end - 1]):
        return bool(_HANGUL.match(right)) and right not in PARTICLES
    if end - start > CHANCE:
        return False
    before = _same(left, flat[start]) and left not in LEFT | KANA_BESIDE
    return before or (_same(right, flat[end - 1]) and right not in RIGHT | KANA_BESIDE)


def _same(one: str, other: str) -> bool:
    """Whether two letters are of one script, so that a word may run over both."""
    return bool(one) and any(script.match(one) and script.match(other) for script in (_HAN, *_KANA))
