"""Made-up names of the shape of a given one: what a model says about nobody.

    made_up("Ragnvi Solbrekk", 3, seed=0)       # three names of two words, of Latin letters, each once

Each word is replaced by one of the same script and about the same length, from syllables, so that nobody has the name.
What is no name stays: particles, legal forms, common words of a title, digits' places and punctuation. Of a name made
of such words alone ("The Who") all are replaced.
"""

from __future__ import annotations

import random
import unicodedata

import regex

from data.finding.names import FUNCTION_WORDS, PARTICLES, SUFFIXES, TITLES

# beginnings, middles and ends of made-up words, by script
# fmt: off
_SYLLABLES = {
    "Latin": (
        "ba bel bra cor da del dor fa fen gal gri har hol jor ka kel kro la lin mar mel mor nal ner ol per "
        "quil ra ren ros sal sor tal tor ul var vel wen yor zan",
        "a an ar bi da de en er i in la le li lo ma mi na ne ni or ra re ri ro sa ta ti vi",
        "d da dan den do el en ern in is la len les lo lund ma men nik no ra rik ros sen ska son tan ti vik",
    ),
    "Cyrillic": (
        "ба вел гра да дор жа за ка кел ла лин ма мор на пе ра рос са сол та вар зор",
        "а ва ви да де ли ло ма ми на ни ра ре ро са та ти",
        "в ва вин дан ев ин ко ла лов на нов ра рин ров сков тан",
    ),
    "Greek": (
        "βα γα δα ζα θε κα λα μα να πα ρα σα τα φα χα",
        "λα λι μα μι να νι ρα ρι τα τι",
        "δης κης λας λος νας νος ρας ρης της",
    ),
    "Arabic": (
        "با تا جا حا دا را سا شا صا فا كا لا ما نا",
        "ر ل م ن د س ي و",
        "د ر ل م ن ي ان ين",
    ),
    "Hebrew": (
        "בא גל דו הר זי חן טל כר לב מר נו סל עד פר",
        "ר ל מ נ ד י ו",
        "ד ר ל ם ן י ון ית",
    ),
    "Devanagari": (
        "क ग च ज त द न प ब म य र ल व स ह",
        "ि ा ु ो े",
        "क त न म य र ल व श",
    ),
    "Hangul": (
        "강 고 권 남 노 도 류 문 민 박 서 손 신 안 양 오 유 윤 임 장 전 정 조 진 최 하 한 허 홍 황",
        "",
        "건 경 규 기 나 단 담 라 람 린 빈 서 설 솔 승 연 영 예 온 우 원 율 은 이 재 준 지 진 찬 채 태 하 현 혜 호 희",
    ),
    "Han": (
        "安 白 陈 丁 范 方 高 郭 韩 何 胡 黄 江 孔 李 林 刘 陆 罗 马 孟 潘 彭 "
        "钱 秦 邵 沈 宋 苏 孙 唐 田 汪 王 魏 吴 谢 徐 许 薛 杨 姚 叶 于 袁 "
        "曾 张 赵 郑 周 朱",
        "",
        "安 波 晨 丹 东 芳 峰 刚 光 海 浩 华 辉 佳 建 静 军 兰 丽 林 玲 龙 梅 "
        "敏 明 宁 平 琴 青 清 荣 蓉 瑞 诗 涛 婷 文 霞 晓 欣 雪 燕 阳 怡 英 "
        "勇 宇 玉 云 泽 志 子",
    ),
    "Hiragana": (
        "あ い う か き く さ し た つ な の は ひ ふ ま み や ゆ よ",
        "か こ さ た な の ま み ら り",
        "え お か き こ し た と な の み よ り",
    ),
    "Katakana": (
        "ア エ カ キ ク サ シ タ テ ナ ノ ハ マ ミ ラ リ ロ",
        "ー カ サ タ ナ マ ラ リ ル ン",
        "ア ス ト ナ ノ マ ラ リ ル ン",
    ),
    "Thai": (
        "กา ขา จา ชา ดา ตา นา พา มา รา วา สา",
        "น ร ล ว",
        "นา มา รา ลัก วัน ชัย พร ดี",
    ),
}
# fmt: on
_SCRIPTS = {script: regex.compile(rf"\p{{{script}}}") for script in _SYLLABLES}
_WORD = regex.compile(r"[\p{L}\p{M}]+")
_OF_QUESTIONS = (  # words; no "will", "may" or "per", which are names too
    "who whom whose what which when where why how is are was were be do does did has have had to with by at from it he "
    "she they you we i my your his her their our its this that not or but if as about into over under"
)
_ENDING_OF_ADDRESS = frozenset(("com", "org", "net", "io", "dev", "edu", "gov", "www", "http", "https"))
_KEPT = FUNCTION_WORDS | PARTICLES | SUFFIXES | TITLES | frozenset(_OF_QUESTIONS.split()) | _ENDING_OF_ADDRESS
_LETTER = r"[\p{L}\p{M}]"
TRIES = 50
_CHARACTERS = frozenset(("Han", "Hangul"))  # scripts of which a character is a syllable


def made_up(name: str, count: int, seed: int = 0) -> list[str]:
    """`count` different names of the same shape, none of them the name itself. The same seed gives the same names."""
    draw, found, tries = random.Random(f"{seed}:{name}"), {}, 0
    kept = _KEPT if any(map(_distinctive, _WORD.findall(name))) else frozenset()
    while len(found) < count:
        tries += 1
        words = {
            word: word if _plain(word) in kept else _word(word, draw) for word in dict.fromkeys(_WORD.findall(name))
        }
        made = _WORD.sub(lambda match, words=words: words[match[0]], name)
        made = regex.sub(r"\p{Nd}", lambda match: str(draw.randrange(10)) if match[0].isascii() else match[0], made)
        if tries > TRIES + count:  # nothing in it can be replaced
            made = f"{made} {_word('Abcdef', draw)}"
        if made != name:
            found[made] = None
    return list(found)


def _plain(word: str) -> str:
    return unicodedata.normalize("NFC", word).lower()


def _distinctive(word: str) -> bool:
    """Whether a word of a name may stand for it: not "Which", "the" or "Ltd"."""
    return _plain(word) not in _KEPT


def _word(word: str, draw: random.Random) -> str:
    """A made-up word in place of one of a name."""
    plain = unicodedata.normalize("NFC", word)
    script = next((script for script, letter in _SCRIPTS.items() if letter.match(plain)), None)
    if script is None:
        return "".join(draw.sample(plain, len(plain)))
    first, middle, last = (part.split() for part in _SYLLABLES[script])
    if script in _CHARACTERS:
        return draw.choice(first) + "".join(draw.choice(last) for _ in plain[1:])
    made = draw.choice(first)
    while middle and len(made) + 3 < len(plain):
        made += draw.choice(middle)
    made += draw.choice(last) if len(plain) > len(made) else ""
    return _cased(plain, made)


def _cased(word: str, made: str) -> str:
    if word.isupper() and len(word) > 1:
        return made.upper()
    return made[:1].upper() + made[1:] if word[:1].isupper() else made


def in_place(text: str, name: str, other: str) -> str:
    """The text with a made-up name in place of the subject's: whole, and its distinctive words alone.

    A word alone is replaced where it has a capital (if its script has any), because "What Maisie Knew" must leave both
    "what" and "knew" in a question.
    """
    words = _WORD.findall(name)
    one, cases = len(words) == 1, _has_cases(name)
    # of a name that is a question word, the word that begins a question is not the name
    asks = text.endswith("?") and one and not _distinctive(words[0])
    start = _WORD.match(text).end() if asks and _WORD.match(text) else 0
    end = rf"(?=s?(?!{_LETTER}))" if one and cases else ""
    whole = regex.compile((rf"(?<!{_LETTER})" if cases else "") + regex.escape(name) + end, regex.I)

    def named(match) -> str:
        return match[0] if one and match[0] != name and match[0][:1].islower() else _fitted(match[0], other)

    text = text[:start] + whole.sub(named, text[start:])
    for word, new in zip(words, _WORD.findall(other)):
        if word != new and len(word) > 1 and not one and _distinctive(word):
            alone = regex.compile(rf"(?<!{_LETTER}){regex.escape(word)}(?!{_LETTER})", regex.I)
            text = alone.sub(lambda m, new=new: m[0] if m[0][:1].islower() else _fitted(m[0], new), text)
    return text


def _has_cases(text: str) -> bool:
    return text.lower() != text.upper()


def _fitted(found: str, new: str) -> str:
    """The made-up words with capitals if what they replace begins with one."""
    if not found[:1].isupper() or new[:1].isupper():
        return new
    return _WORD.sub(lambda word: word[0][:1].upper() + word[0][1:], new)
