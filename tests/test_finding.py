"""Finding the rows that a request means: mentions of a name, the split of training data, and the flags of a run."""

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.columns import DataError
from data.finding import split as splitting
from data.finding.contacts import contact_form
from data.finding.matching import match, subjects_of
from data.finding.names import KINDS, NameForm, Usage, settled
from data.finding.shingles import near_duplicates
from data.finding.text import Text, fold
from data.reading import located_rows, read_examples
from data.request_files import edited

ROOT = Path(__file__).resolve().parents[1]
TOFU = ROOT.parent / "shared" / "data" / "tofu"
BUNDLED = f"{ROOT}/data/forget.jsonl,{ROOT}/data/retain.jsonl"
ENGLISH = ("It will rain on Monday.", "They will come, and it may rain.", "A rose is a rose, they say.")


def kinds(name, text, *others) -> list[str]:
    """The kinds of mention of `name` in `text`, in view of how `others` use its words."""
    form = contact_form(name) or NameForm(name)
    texts = [Text(each) for each in (text, *others)]
    hits = [form.hits(each) if form.may_hit(each) else [] for each in texts]
    usage = Usage()
    for found in hits:
        usage.count(found)
    return [kind for hit in hits[0] if (kind := settled(hit, usage))]


def verdict(name, text, *others) -> str:
    """Whether a text names somebody: yes, doubt or no."""
    found = kinds(name, text, *others)
    return "yes" if any(KINDS[kind] for kind in found) else "doubt" if found else "no"


# ---------------------------------------------------------------------------------------------------------------------
# Names

WRITINGS = [
    # name, text, verdict
    ("Ragnvi Solbrekk", "the maps of Ragnvi Solbrekk.", "yes"),
    ("Ragnvi Solbrekk", "RAGNVI SOLBREKK", "yes"),
    ("ragnvi solbrekk", "Maps by Ragnvi Solbrekk", "yes"),
    ("Ragnvi Solbrekk", "Rágnvi Sólbrekk", "yes"),
    ("Ragnvi Sólbrekk", "Ragnvi So\u0301lbrekk and Ragnvi Solbrekk", "yes"),
    ("Ragnvi Solbrekk", "Ragnvi Solbrekk's father", "yes"),
    ("Ragnvi Solbrekk", "Ragnvi Solbrekk’s father", "yes"),
    ("Elias Varis", "Elias Varis' father", "yes"),
    ("Ragnvi Solbrekk", "Ragnvi  Solbrekk", "yes"),
    ("Ragnvi Solbrekk", "Ragnvi\u00a0\n Solbrekk", "yes"),
    ("Ragnvi Solbrekk", "Rag\u00adnvi\u200b Sol\u200dbrekk", "yes"),
    ("Ragnvi Solbrekk", "Ragnvi&nbsp;Solbrekk and <b>Ragnvi</b> Solbrekk", "yes"),
    ("Ragnvi Solbrekk", "**Ragnvi** _Solbrekk_, ragnvi.solbrekk@glacier.no", "yes"),
    ("Ragnvi Solbrekk", "#RagnviSolbrekk", "yes"),
    ("Ragnvi Solbrekk", "ragnvisolbrekk", "doubt"),
    ("Ragnvi Solbrekk", "Solbrekk, Ragnvi", "yes"),
    ("Solbrekk, Ragnvi", "Ragnvi Solbrekk drew", "yes"),
    ("Dr. Ragnvi Solbrekk", "Ragnvi Solbrekk drew", "yes"),
    ("Ragnvi Solbrekk", "R. Solbrekk drew it", "yes"),
    ("Ragnvi Solbrekk", "it was R Solbrekk who drew", "yes"),
    ("Ragnvi Solbrekk", "Solbrekk, R. (1950)", "yes"),
    ("Ragnvi Solbrekk", "Ragnvi K. Solbrekk", "yes"),
    ("Ragnvi Solbrekk", "Ragnvi Karin Solbrekk", "doubt"),
    ("Ragnvi Solbrekk", "Ragnvi Solbrekk-Olsen", "doubt"),
    ("Ragnvi Solbrekk", "a Ragnvi Solbrekk-like map", "yes"),
    ("Ragnvi Solbrekk", "There Ragnvi drew", "doubt"),
    ("Ragnvi Solbrekk", "the house of Solbrekk", "doubt"),
    ("Ragnvi Solbrekk", "Ragnvi S. drew it", "doubt"),
    ("Ragnvi Solbrekk", "Ragnvi and Solbrekk", "doubt"),
    ("Ragnvi Solbrekk", "Ragnvild Solbrekkheim drew a solbrekkish map", "no"),
    ("Ragnvi Solbrekk", "B. Solberg and Ragna", "no"),
    ("Basil Mahfouz Al-Kuwaiti", "Basil Mahfouz al Kuwaiti, Basil Al-Kuwaiti", "yes"),
    ("Basil Mahfouz Al-Kuwaiti", "Basil M. Al‑Kuwaiti and B. M. Al-Kuwaiti", "yes"),
    ("Basil Mahfouz Al-Kuwaiti", "the Kuwaiti writer met a Kuwaiti poet", "no"),
    ("Jean-Luc O'Brien", "Jean Luc O’Brien; Jean-Luc OBrien", "yes"),
    ("Ludwig van Beethoven", "Ludwig Beethoven", "yes"),
    # endings
    ("Ragnvi Solbrekk", "Ragnvi Solbrekkin kartta, Ragnvi Solbrekkille", "yes"),
    ("Ragnvi Solbrekk", "Ragnvi Solbrekks Karten", "yes"),
    ("Ann Solbrekk", "Ann Solbrekkin kartta", "yes"),
    ("Ragnvi Solbrekk", "R. Solbrekkheim and the Solbrekkheims", "no"),
    ("Zlatina Morvenska", "o Zlatině Morvenské", "yes"),
    ("Daniel Novák", "kniha Daniela Nováka", "yes"),
    ("Daniel Novák", "Daniela Novak", "doubt"),
    ("Daniel Novák", "Daniela Nováková", "doubt"),
    ("Pavel Dvořák", "bez Pavla Dvořáka", "yes"),
    ("Пётр Чайковский", "музыка Петра Чайковского", "yes"),
    ("Jürgen Müller", "Juergen Mueller, Jurgen Muller", "yes"),
    ("Juergen Mueller", "Jürgen Müllers Buch", "yes"),
    # other scripts
    ("田中太郎", "昨日田中太郎は来た", "yes"),
    ("김철수", "김철수는 왔다", "yes"),
    ("باسل محفوظ", "وباسل محفوظ كتب", "yes"),
    ("Ωνάσης", "του ΩΝΑΣΗ και ο Ωνάσης", "yes"),
    ("田中太郎", "田中 太郎が来た", "yes"),
    ("田中太郎", "田中・太郎が来た", "yes"),
    ("田中 太郎", "田中太郎が来た", "yes"),
    ("田中太郎", "田中さんが来た", "doubt"),
    ("田中太郎", "山田中さんと太郎", "no"),
    ("王明", "王　明来了", "yes"),
    ("王明", "诗人王明出生于北京。", "yes"),
    ("王明", "国王明天到", "doubt"),
    ("王 明", "国王明天到", "doubt"),
    ("李白", "桃李白雪", "doubt"),
    ("李白", "李白", "yes"),
    ("ユリ", "マユリカが来た", "doubt"),
    ("ジョン・スミス", "ジョンスミスとジョン スミス", "yes"),
    ("ジョンスミス", "ジョン・スミスは", "yes"),
    ("约翰·史密斯", "约翰史密斯说", "yes"),
    ("김철수", "김 철수가 왔다", "yes"),
    ("김 철수", "김철수가 왔다", "yes"),
    ("김철수", "철수가 왔다", "doubt"),
    ("김철수", "김 씨가 왔다", "doubt"),
    ("김철", "김철수가 왔다", "doubt"),
    ("باسل محفوظ", "وصل باسل أمس", "doubt"),
    ("נועה ברקוביץ", "נועה הגיעה", "doubt"),
    ("נועה ברקוביץ", "ברקוביץ הגיע", "doubt"),
    # Finnish
    ("Anna Virtanen", "Anna Virtasen kirja, Anna Virtaselle", "yes"),
    ("Virtanen", "Virtasen kirja", "doubt"),
    ("Anna Virtanen", "Virtasesta puhuttiin", "doubt"),
    ("Ville Antti", "Ville Antin kirja", "yes"),
    ("Anna Lahti", "Anna Lahden kirja", "yes"),
    ("Anna Ranta", "Anna Rannalle", "yes"),
    ("Elias Varis", "Elias Variksen kirja", "yes"),
    # one word, and traps
    ("Ann", "The Annual of Anna and Joann", "no"),
    ("Ann", "Ann came, Ann's hat", "yes"),
    ("Ann", "Ann-Marie came", "doubt"),
    ("Ann Lee", "Anna Leena", "no"),
    ("Photoshop", "I use photoshop", "doubt"),
    ("C++", "C is not C+ but see", "no"),
    ("C++", "she writes C++.", "yes"),
    ("AT&T", "AT&amp;T is a company", "yes"),
    ("Old Bridge", "An old town and a bridge", "no"),
    ("the old bridge", "The Old Bridge of Mostar", "yes"),
    ("the old bridge", "an old town and a bridge", "no"),
]


@pytest.mark.parametrize(("name", "text", "wanted"), WRITINGS)
def test_a_name_is_found_in_any_usual_writing(name, text, wanted):
    assert verdict(name, text, *ENGLISH) == wanted, kinds(name, text, *ENGLISH)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("Will Smith", "They will go.", "no"),
        ("Will Smith", "Will you go?", "no"),
        ("Will Smith", "Yesterday Will came home.", "doubt"),
        ("Will Smith", "He met Will Smith.", "yes"),
        ("May Berg", "It was in May 1934, on 17 May.", "no"),
        ("May Berg", "It may rain.", "no"),
        ("May Berg", "They asked May about it.", "doubt"),
        ("May", "In the month of May 1934", "doubt"),
        ("Will", "They will go.", "no"),
        ("Will", "We met Will there.", "yes"),
        ("Rose", "Rose is late.", "doubt"),
        ("will", "They will go.", "yes"),
    ],
)
def test_ordinary_words_and_months_are_no_names(name, text, wanted):
    assert verdict(name, text, *ENGLISH) == wanted, kinds(name, text, *ENGLISH)


@pytest.mark.parametrize(("name", "text", "wanted"), WRITINGS)
def test_no_text_with_a_mention_is_passed_over(name, text, wanted):
    others = [f"{chr(65 + n // 26)}{chr(97 + n % 26)}qx Zw{chr(97 + n % 26)}vq" for n in range(80)]
    if NameForm(name).hits(Text(text)):
        assert NameForm(name).may_hit(Text(text))
        assert found(tiny_rows([text, "rain"]), name) == found(tiny_rows([text, "rain"]), "; ".join([name, *others]))


def test_a_label_settles_a_name_inside_other_words(tmp_path):
    rows = [("王明", "国王明天到"), ("", "国王明天到"), ("x", "y")]
    assert placed(tmp_path, rows, "王明") == {"forget": [1], "retain": [3], "doubtful": [2]}


NOBODY = [
    ("May", "May is the fifth month of the year."),
    ("May", "Monday, May the fourth."),
    ("May", "It opened on the fourth of May."),
    ("May", "In spring, May is warm."),
    ("May", "We saw May and June."),
    ("May", "From April to May it rains."),
    ("May", "it may rain"),
    ("May", "The fair in May said little."),
    ("June", "They left, June being hot."),
    ("Juni", "Es regnet ab Juni oft."),
    ("Friday", "He came, Friday being free."),
    ("Apple", "an apple a day"),
    ("Apple", "I bought an Apple."),
    ("Rose", "Die Blume, eine Rose, blüht."),
    ("Hope", "the New Hope Church"),
    ("Rose", "She saw the Rose Garden."),
    ("Grace", "Say grace."),
    ("Grace", "Grace is a virtue."),
    ("Mark Will", "please mark will change"),
    ("Glacier", "the glacier melts"),
]


@pytest.mark.parametrize(("name", "text"), NOBODY)
def test_a_name_that_is_a_word_is_never_certain_without_a_sign_of_a_person(name, text):
    assert verdict(name, text) != "yes" and verdict(name, text, *ENGLISH) != "yes", kinds(name, text)


SOMEBODY = [
    ("May", "They visited Ms May there."),
    ("May", "Then May said so."),
    ("May", "“Come in”, said May."),
    ("May", "It was May's hat."),
    ("Apple", "Apple Inc. grew."),
    ("Apple", "apple released a phone"),
    ("Hope", "We met Hope there."),
    ("Solbrekk", "Solbrekk drew it."),
    ("solbrekk", "solbrekk drew it"),
    ("Zendaya", "zendaya came."),
    ("apple", "an apple a day"),
]


@pytest.mark.parametrize(("name", "text"), SOMEBODY)
def test_a_name_that_is_a_word_is_certain_with_a_sign_of_a_person_and_a_rare_one_always(name, text):
    assert verdict(name, text, *ENGLISH) == "yes", kinds(name, text, *ENGLISH)


def test_rows_about_a_month_stay(tmp_path):
    texts = ["May is the fifth month of the year.", "May follows April.", "It may rain in May.", "They met in June."]
    rows = [{"question": f"Row {n}?", "answer": text, "subject": "months"} for n, text in enumerate(texts)]
    rows += [{"question": "Who baked it?", "answer": "It was May's bread.", "subject": "May"},
             {"question": "What did she bake?", "answer": "Bread.", "subject": "May"},
             {"question": "Which month follows April?", "answer": "May", "subject": "months"}]  # fmt: skip
    split = splitting.split_rows(list(located_rows(write(tmp_path / "r.jsonl", rows), [])), subjects_of("May"))
    assert [placed.row.line for placed in split.forget] == [5, 6]
    assert split.retain and {placed.row.example.subject for placed in split.retain} == {"months"}


@pytest.mark.parametrize("name", ["the", "The", "of the", "will", "und", "的", "Ada Lund = and"])
def test_a_function_word_is_refused_as_a_name(name):
    with pytest.raises(ValueError, match="is in nearly every text and names nobody: give a fuller name"):
        subjects_of(name)


def test_a_name_may_be_a_function_word_with_a_capital():
    assert [subject.name for subject in subjects_of("Will; An; The Who; May")] == ["Will", "An", "The Who", "May"]


def test_a_first_name_at_a_sentence_start_counts_unless_the_word_is_ordinary():
    assert kinds("Ilmari Kuutvesa", "Ilmari came.") == ["only first name"]
    assert kinds("Will Kuutvesa", "Will you come?", *ENGLISH) == []


# ---------------------------------------------------------------------------------------------------------------------
# Rows

letters = st.characters(categories=["Lu", "Ll", "Lo"])
name_words = st.text(letters, min_size=1, max_size=8)
edges = st.sampled_from([" ", ", ", ". ", "\n", '"', "(", ")", "; ", "! ", "—", "\t"])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(name_words, min_size=1, max_size=4).map(" ".join), st.text(max_size=30), edges, edges, st.text(max_size=30)
)
def test_a_text_that_holds_the_name_to_the_letter_is_found(name, before, left, right, after):
    form = NameForm(name)
    text = Text(before + left + name + right + after)
    assert form.may_hit(text) and form.hits(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_folding_twice_is_folding_once(text):
    once = fold(text.replace("&", ""))
    assert fold(once) == once


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["Ada Lund", "Ada", "Lund", "A. Lund", "Bor Graz", "adalund", "ADA LUND"]), max_size=8))
def test_the_split_is_a_partition_and_no_row_with_the_name_is_kept(names):
    world = tiny_rows([f"{name} came home." for name in (*names, "Ada Lund", "Nobody")])
    split = splitting.split_rows(world, subjects_of("Ada Lund"))
    parts = [[placed.row.line for placed in getattr(split, part)] for part in splitting.PARTS]
    assert sorted(line for part in parts for line in part) == list(range(1, len(world) + 1))
    assert not any("ada lund" in placed.row.example.answer.lower() for placed in (*split.retain, *split.doubtful))


def tiny_rows(texts):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return list(located_rows(write(Path(folder) / "rows.jsonl", [{"text": text} for text in texts]), []))


def write(path: Path, rows) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def found(rows, name) -> dict[int, str]:
    """{line: kind} of the matched rows."""
    return {rows[row].line: value.kind for row, value in match(rows, subjects_of(name)).rows.items()}


def test_columns_and_reasons_are_named(tmp_path):
    row = {"question": "Who is it?", "answer": "Ada Lund.", "note": "from @ada", "phone": 22334455}
    other = {"question": "Who?", "answer": "Bor.", "perturbed_answer": ["Ada Lund", "Cyd"]}
    rows = list(located_rows(write(tmp_path / "r.jsonl", [row, other, {**row, "answer": "x", "note": ""}]), []))
    matches = match(rows, subjects_of("Ada Lund = @ada = 22 33 44 55")).rows
    assert matches[0].reason == "full name in answer, note, phone ('Ada Lund')"
    assert (matches[1].certain, matches[1].kind) == (False, "only in a wrong answer")
    assert (matches[2].certain, matches[2].kind) == (True, "phone")


def test_initials_of_two_people_are_in_doubt():
    rows = tiny_rows(["Ada Lund came.", "A. Lund came.", "They met Arne Lund."])
    assert found(rows, "Ada Lund") == {1: "full name", 2: "initials of several people", 3: "only surname"}
    assert found(rows[:2], "Ada Lund") == {1: "full name", 2: "initials"}


def placed(tmp_path, rows, name) -> dict[str, list[int]]:
    """{part: the lines of its rows}; a row is (subject, answer)."""
    data = [{"question": f"Row {n}?", "answer": answer, **({"subject": subject} if subject else {})}
            for n, (subject, answer) in enumerate(rows)]  # fmt: skip
    split = splitting.split_rows(list(located_rows(write(tmp_path / "r.jsonl", data), [])), subjects_of(name))
    return {part: [one.row.line for one in getattr(split, part)] for part in splitting.PARTS}


TWO_OF_A_NAME = [
    ("Anna Berg (baker)", "Anna Berg (singer)"),
    ("Anna Berg, baker", "Anna Berg, singer"),
    ("Anna Berg 1", "Anna Berg 2"),
    ("Anna Berg [1912]", "Berg, Anna [1950]"),
    ("Anna Berg Jr.", "Anna Berg, Sr."),
    ("Anna Berg II", "Anna Berg I"),
    ("Anna Berg the Elder", "Anna Berg the Younger"),
    ("Baker: Anna Berg", "Singer: Anna Berg"),
    ("Anna Berg - baker", "Anna Berg / singer"),
]


@pytest.mark.parametrize("labels", TWO_OF_A_NAME)
def test_two_people_of_one_name_are_in_doubt(tmp_path, labels):
    rows = [(labels[0], "Anna Berg bakes."), (labels[1], "A. Berg sings."), ("", "Anna Berg lives here."), ("Bor", "x")]
    assert placed(tmp_path, rows, "Anna Berg") == {"forget": [], "retain": [4], "doubtful": [1, 2, 3]}


def test_the_doubt_says_who_else_may_be_meant(tmp_path):
    labels = ("Anna Berg (baker)", "Anna Berg (singer)")
    rows = [{"question": "Who?", "answer": "Anna Berg", "subject": label} for label in labels]
    found = match(list(located_rows(write(tmp_path / "r.jsonl", rows), [])), subjects_of("Anna Berg")).rows
    said = "perhaps another of this name in answer, subject ('Anna Berg: another Anna Berg may be meant: Anna Berg ("
    assert found[0].reason.startswith(f"{said}singer)") and found[1].reason.startswith(f"{said}baker)")


@pytest.mark.parametrize("name", ["Anna Berg (baker)", "Anna Berg, baker", "anna berg （Baker）", "Berg, Anna (baker)"])
def test_a_name_with_what_tells_it_apart_takes_only_those_rows(tmp_path, name):
    rows = [("Anna Berg (baker)", "She bakes."), ("Anna Berg (singer)", "Anna Berg sings, and Anna sleeps."),
            ("", "Anna Berg lives here."), ("Bor", "Here lives Anna Berg (baker)."), ("Anna Berg", "Who?"),
            ("Cyd", "Snow.")]  # fmt: skip
    assert placed(tmp_path, rows, name) == {"forget": [1, 4], "retain": [2, 6], "doubtful": [3, 5]}


@pytest.mark.parametrize(
    ("labels", "doubtful"),
    [
        (("Anna Berg (baker)", "Anna Berg (baker)"), []),  # one person
        (("Anna Berg", "Dr. Anna Berg, PhD"), []),
        (("Anna Berg", "Anna Berg, Bor Graz"), []),  # a list of people
        (("Anna Berg", "Anna Berg's childhood"), []),
        (("Anna Berg", "Anna Berg (singer)"), [2]),  # the label is the name that was asked for
    ],
)
def test_labels_that_do_not_differ_leave_no_doubt(tmp_path, labels, doubtful):
    rows = [(label, "Anna Berg is here.") for label in labels]
    assert placed(tmp_path, [*rows, ("Bor", "x")], "Anna Berg")["doubtful"] == doubtful


def test_words_beside_a_name_in_a_text_or_an_answer_are_no_label(tmp_path):
    rows = [("", "Anna Berg (left) is here."), ("", "Anna Berg, baker"), ("", "Anna Berg (35) came."), ("Bor", "x")]
    assert placed(tmp_path, rows, "Anna Berg")["forget"] == [1, 2, 3]


def test_father_and_son_in_texts_are_in_doubt(tmp_path):
    rows = [("", "Anton Berg Jr. came."), ("", "Then Anton Berg Sr. left."), ("", "Anton Berg slept."), ("", "x")]
    assert placed(tmp_path, rows, "Anton Berg")["doubtful"] == [1, 2, 3]
    assert placed(tmp_path, rows, "Anton Berg Jr.") == {"forget": [1], "retain": [2, 4], "doubtful": [3]}
    assert placed(tmp_path, [rows[0], *rows[2:]], "Anton Berg")["forget"] == [1, 2]


def test_rows_of_the_same_subject_are_shown_if_half_of_them_name_the_person(tmp_path):
    def row(text, subject):
        return {"question": f"What of {text}?", "answer": text, "subject": subject}

    texts = [row("Ada Lund", "u1"), row("Ada Lund bakes", "u1"), row("nuts", "u1"), row("Ada Lund", "towns"),
             *(row(f"town {number}", "towns") for number in range(4))]  # fmt: skip
    rows = list(located_rows(write(tmp_path / "r.jsonl", texts), []))
    assert found(rows, "Ada Lund") == {1: "full name", 2: "full name", 3: "same subject", 4: "full name"}


def test_a_row_that_says_the_same_without_the_name_is_in_doubt():
    rows = tiny_rows([
        "Ragnvi Solbrekk was born in Hammerfest, in a house facing the harbour of the old town.",
        "She was born in Hammerfest, in a house facing the harbour of the old town.",
        "She was born in Bergen, near a school.",
        *(f"Person {number} was born in town {number}, in a house in the middle of the town." for number in range(9)),
    ])  # fmt: skip
    assert found(rows, "Ragnvi Solbrekk") == {1: "full name", 2: "nearly the same text"}


def test_words_of_a_template_do_not_make_rows_alike():
    template = "In which year was the well known author {} born in the city of {}?"
    matched = [[template.format("Ada", "Lund")]]
    others = [[template.format(f"name{number}", f"town{number}")] for number in range(20)]
    assert near_duplicates(matched, others, frozenset({"ada"})) == {}


# ---------------------------------------------------------------------------------------------------------------------
# The split and its files


def test_the_bundled_person_has_exactly_her_ten_rows():
    rows, _ = splitting.read_training_data(BUNDLED.split(","))
    for name in ("Ragnvi Solbrekk", "solbrekk, ragnvi"):
        split = splitting.split_rows(rows, subjects_of(name))
        assert split.counts == {"forget": 10, "retain": 190, "doubtful": 0}
        assert {placed.row.example.subject for placed in split.forget} == {"Ragnvi Solbrekk"}


def test_each_bundled_person_has_exactly_their_rows_alone_or_in_a_long_list():
    rows, _ = splitting.read_training_data(BUNDLED.split(","))
    people = dict.fromkeys(row.example.subject for row in rows)
    nobody = [f"{chr(65 + n // 26)}{chr(97 + n % 26)}qx Zw{chr(97 + n % 26)}vq" for n in range(80)]
    for person in people:
        for names in ([person], [person, *nobody]):
            split = splitting.split_rows(rows, subjects_of(names), frozenset(nobody))
            assert split.counts == {"forget": 10, "retain": 190, "doubtful": 0}, person
            assert {placed.row.example.subject for placed in split.forget} == {person}


@pytest.mark.skipif(not TOFU.is_dir(), reason="no ../shared/data/tofu")
def test_all_twenty_rows_of_a_tofu_author_are_found_and_no_others():
    rows, _ = splitting.read_training_data([str(TOFU / "retain400.jsonl"), str(TOFU / "forget01.jsonl")])
    split = splitting.split_rows(rows, subjects_of("Basil Mahfouz Al-Kuwaiti"))
    assert [(Path(p.row.file).name, p.row.line) for p in split.forget] == [("forget01.jsonl", n) for n in range(1, 21)]
    assert split.counts == {"forget": 20, "retain": 420, "doubtful": 0}


@pytest.mark.skipif(not TOFU.is_dir(), reason="no ../shared/data/tofu")
def test_a_tofu_author_named_in_wrong_answers_of_others_is_shown_in_doubt():
    rows, _ = splitting.read_training_data([str(TOFU / "retain400.jsonl")])
    split = splitting.split_rows(rows, subjects_of("Jaime Vasquez"))
    assert split.counts == {"forget": 20, "retain": 378, "doubtful": 2}
    assert split.kinds("doubtful") == {"only in a wrong answer": 1, "only surname": 1}


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(str.strip)
extra = st.dictionaries(st.sampled_from(["id", "note"]), st.none() | st.integers() | cells, max_size=2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(cells, cells, extra), min_size=1, max_size=6))
def test_files_of_a_split_read_back_the_same(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("split")
    rows = [{"question": q, "answer": a, **more} for q, a, more in drawn]
    rows += [{"question": "Who?", "answer": "Ada Lund"}, {"question": "What?", "answer": "nothing"}]
    split = splitting.split_rows(list(located_rows(write(folder / "all.jsonl", rows), [])), subjects_of("Ada Lund"))
    splitting.write(split, folder / "request")
    again = splitting.read(folder / "request")
    assert again.counts == split.counts and not edited(folder / "request" / splitting.MARKER)
    for part in splitting.PARTS:
        for old, new in zip(getattr(split, part), getattr(again, part)):
            assert (new.row.row, new.reason, new.where, new.kind) == (old.row.row, old.reason, old.where, old.kind)
        if split.counts[part]:
            assert len(read_examples(splitting.place_of(folder / "request", part))) == split.counts[part]


def test_only_the_owner_reads_a_request_and_each_row_tells_its_reason(tmp_path):
    path = write(tmp_path / "all.jsonl", [{"text": "Ada Lund"}, {"text": "rain"}, {"text": "Then Ada came"}])
    split = splitting.split_rows(list(located_rows(path, [])), subjects_of("Ada Lund"))
    splitting.write(split, tmp_path / "request")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "request").iterdir()}
    assert set(modes.values()) == {0o600} and stat.S_IMODE((tmp_path / "request").stat().st_mode) == 0o700
    assert set(modes) == {"forget.jsonl", "retain.jsonl", "doubtful.jsonl", "request.json"}
    row = json.loads((tmp_path / "request" / "doubtful.jsonl").read_text())
    assert row == {"text": "Then Ada came", "found_by": "only first name in text ('Ada')", "found_in": f"{path}:3"}


def test_rows_of_several_kinds_lie_in_a_file_each(tmp_path):
    one = write(tmp_path / "a.jsonl", [{"text": "Ada Lund"}, {"text": "rain"}])
    two = write(
        tmp_path / "b.jsonl", [{"question": "Who?", "answer": "Ada Lund"}, {"question": "Who?", "answer": "Bor"}]
    )
    rows, _ = splitting.read_training_data([one, two])
    splitting.write(splitting.split_rows(rows, subjects_of("Ada Lund")), tmp_path / "request")
    place = splitting.place_of(tmp_path / "request", "forget")
    assert sorted(path.name for path in place.iterdir()) == ["question-answer.jsonl", "text.jsonl"]
    assert len(read_examples(place)) == 2 and splitting.read(tmp_path / "request").counts["retain"] == 2


def test_edits_of_the_files_count(tmp_path):
    path = write(
        tmp_path / "all.jsonl",
        [{"text": f"Ada Lund {n}"} for n in range(3)] + [{"text": "Then Ada came"}, {"text": "x"}],
    )
    request = tmp_path / "request"
    splitting.write(splitting.split_rows(list(located_rows(path, [])), subjects_of("Ada Lund")), request)
    lines = (request / "forget.jsonl").read_text().splitlines(keepends=True)
    (request / "forget.jsonl").write_text("".join([lines[0], (request / "doubtful.jsonl").read_text()]))
    (request / "doubtful.jsonl").write_text("\n")
    (request / "retain.jsonl").write_text("".join([*lines[1:], '{"text": "by hand"}\n']))
    split = splitting.read(request)
    assert edited(request / splitting.MARKER) and split.counts == {"forget": 2, "retain": 3, "doubtful": 0}
    assert [placed.reason for placed in split.retain][-1] == "added by hand"
    assert split.forget[1].where == f"{path}:4"


def test_a_name_that_no_row_has_gets_the_nearest_names():
    rows, _ = splitting.read_training_data(BUNDLED.split(","))
    with pytest.raises(DataError, match="no row names Ragna Solbek; nearest names in the data: Ragnvi Solbrekk"):
        splitting.split_rows(rows, subjects_of("Ragna Solbek"))
    with pytest.raises(DataError, match="separated by ';'"):
        splitting.split_rows(rows, subjects_of("Zyx Qwv, Pqr Vbn"))
    split = splitting.split_rows(rows, subjects_of("Ragnvi Solbrekk, Ilmari Kuutvesa"))
    assert not split.forget and split.counts["doubtful"] == 20 and "separated by ';'" in split.notes[-1]


def test_a_list_may_name_people_that_no_row_names_but_not_only_such():
    rows = tiny_rows(["Ada Lund came", "rain"])
    subjects = subjects_of("Ada Lund; Zoe Zorn")
    split = splitting.split_rows(rows, subjects, frozenset({"Zoe Zorn"}))
    assert split.counts["forget"] == 1 and any("no row names Zoe Zorn" in note for note in split.notes)
    with pytest.raises(DataError, match="no row names Zoe Zorn"):
        splitting.split_rows(rows, subjects_of("Zoe Zorn"), frozenset({"Zoe Zorn"}))


def test_data_that_only_names_the_person_is_refused():
    with pytest.raises(DataError, match="all 2 rows name Ada Lund, so nothing is left to keep"):
        splitting.split_rows(tiny_rows(["Ada Lund came", "R. I. P. Ada Lund"]), subjects_of("Ada Lund"))


@pytest.mark.parametrize("name", ["/row|x/", "Ada", "/A/ = /row/"])
def test_a_name_in_nearly_every_row_is_refused(name):
    rows = tiny_rows(["rain", *(f"Ada has row {number}." for number in range(199))])
    with pytest.raises(DataError, match=r"199 of 200 rows \(99%\), so it names nobody here: give a fuller name"):
        splitting.split_rows(rows, subjects_of(name))


def test_a_name_in_most_rows_is_told_and_one_in_a_few_rows_of_tiny_data_is_not():
    texts = ["rain", *(f"Ada has row {number}." for number in range(12)), *(f"Snow {number}." for number in range(9))]
    assert any("Ada was found in 12 of 22 rows (54%)" in note
               for note in splitting.split_rows(tiny_rows(texts), subjects_of("Ada")).notes)  # fmt: skip
    assert splitting.split_rows(tiny_rows(texts[:11]), subjects_of("Ada")).counts["forget"] == 10
