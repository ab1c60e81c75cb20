"""The page's one field, and the list of rows before anything is trained: handlers without a browser."""

import html
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from page_room import judged, request_of, settings_of, wait_for

from data.columns import DataError
from data.uploads import InputError
from models.store.folders import read_json_or_empty
from results.page import forgetting, live, verdicts, watching
from results.page.api import result_of
from results.page.desk import PROJECT, Desk
from results.page.jobs import Job
from results.page.methods import fitting
from results.page.tabs.field import chosen_or_usual, current, usual
from results.run.request.flags import BY_NAME, PROXY
from results.run.request.preview import UNASKED, Preview, Row, read_preview

STORY = "Ada Lund lives in Graz. Ada Lund bakes bread every day.\n\nShe has a cat that is called Minou."


def filled(**values):
    """A form as the page sends it."""
    empty = {"text": "", "taken_as": "", "file": None, "training_data": None, "pairs": [["", ""]], "example": False}
    return {**empty, "method": "npo", **values}


def given_in(job):
    return settings_of(job)


def over(desk, job):
    wait_for(lambda: desk.queue.get(job.id).over)
    return desk.queue.get(job.id)


def ask(desk, user=None, **values):
    """The job that prepared a request, once it has ended."""
    return over(desk, forgetting.prepare(desk, request_of(user), filled(**values)))


# -- what the form asks for


def test_the_field_decides_what_is_forgotten(tmp_path):
    sources = {
        "name": filled(text="Ragnvi Solbrekk"),
        "text": filled(text="Ragnvi Solbrekk", taken_as="words"),
        "passages": filled(text=STORY),
        "file": filled(file=[str(tmp_path / "a.docx")]),
        "pairs": filled(pairs=[["Who?", "Ada."], ["", None]]),
        "example": filled(example=True),
    }
    for source, form in sources.items():
        assert forgetting.asked(form)["source"] == source
    assert forgetting.asked(sources["name"])["about"] == ["Ragnvi Solbrekk"]
    assert forgetting.asked({"source": "text", "text": "May"})["source"] == "text", "a program names it"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "nothing to forget yet"),
        ({"text": " \n"}, "nothing to forget yet"),
        ({"text": "Ada", "file": ["a.docx"]}, "A text and files at once"),
        ({"text": "Ada", "pairs": [["q", "a"]]}, "two things at once"),
        ({"example": True, "pairs": [["q", "a"]]}, "two things at once"),
        ({"file": ["a.png"]}, "not accepted"),
        ({"text": STORY, "training_data": ["all.jsonl"]}, "type the name"),
        ({"text": "She lives in Lund."}, "choose below whether"),
    ],
)
def test_what_asks_for_nothing_or_for_two_things_is_refused(desk, values, message):
    with pytest.raises(InputError, match=message):
        forgetting.prepare(desk, request_of(), filled(**values))
    assert desk.queue.jobs() == [] and list(desk.results.glob("[!.]*")) == []


# -- a text, documents and rows


def test_a_text_is_read_at_once_looked_at_and_run_with_the_choices(desk, project):
    job = forgetting.prepare(desk, request_of(), filled(text=STORY))
    assert (job.kind, job.state) == ("request", "finished") and not any("Minou" in word for word in job.argv)
    preview = forgetting.preview_of(desk, request_of(), job.id)
    assert preview.kind == "documents" and preview.probes
    table, ids = forgetting.table_of(preview), forgetting.ids_of(preview)
    first = next(number for number, row in enumerate(table) if row[4].startswith("a passage"))
    for number, row in enumerate(table):
        row[1] = number == first
    table[first][3] = "Ada Lund lives in Graz."
    table.append([None, None, "Who has a cat?", "Ada Lund."])
    choices = forgetting.choices_of(table, ids, preview)
    run = forgetting.start(desk, request_of(), filled(text="something else by now"), job.id, choices)
    given = given_in(run)
    assert (run.kind, run.folder, given["yes"]) == ("unlearn", job.folder, "true")
    assert given["forget_data"].endswith("inputs/text.txt") and "request_only" not in given
    rows = read_preview(PROJECT / job.folder / "documents").rows
    assert [row.text for row in rows if row.forget] == ["Ada Lund lives in Graz.", "Ada Lund."]
    assert desk.queue.get(job.id) is None, "the run takes the place of the job that prepared it"
    assert list(desk.runs(request_of())) == [run.name]


def test_a_typed_text_is_about_the_name_that_it_has_and_not_about_its_file(desk):
    nameless = "the ferry leaves at seven in the morning. the last one comes back at nine in the evening."
    for text, subject in ((STORY, "Ada Lund"), (nameless, "the text")):
        job = forgetting.prepare(desk, request_of(), filled(text=text))
        preview = forgetting.preview_of(desk, request_of(), job.id)
        assert preview.subjects == [subject]
        assert not any("text.txt" in row.question for row in preview.rows) and UNASKED not in preview.notes
    job = forgetting.prepare(desk, request_of(), filled(text="and of the " * 4))
    assert UNASKED in forgetting.preview_of(desk, request_of(), job.id).notes


def test_files_are_read_at_once_and_several_are_one_request(desk, project, monkeypatch):
    (project / "a.txt").write_text(STORY)
    (project / "b.md").write_text("# Bor\n\nBor Graz works in Pisa.")
    job = forgetting.prepare(desk, request_of(), filled(file=[str(project / "a.txt"), str(project / "b.md")]))
    places = {row.where.split(":")[0] for row in forgetting.preview_of(desk, request_of(), job.id).rows}
    assert places == {"a.txt", "b.md"}
    (project / "rows.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    job = forgetting.prepare(desk, request_of(), filled(file=[str(project / "rows.jsonl")]))
    assert [row.text for row in forgetting.preview_of(desk, request_of(), job.id).rows] == ["a"]
    (project / "bad.jsonl").write_text('{"question": "q"}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl:1"):
        forgetting.prepare(desk, request_of(), filled(file=[str(project / "bad.jsonl")]))
    before = set(desk.results.glob("[!.]*"))
    monkeypatch.setattr(
        forgetting.preparing, "_made", lambda config: (_ for _ in ()).throw(DataError("no rows are left"))
    )
    with pytest.raises(DataError, match="no rows are left"):
        forgetting.prepare(desk, request_of(), filled(file=[str(project / "rows.jsonl")]))
    assert set(desk.results.glob("[!.]*")) == before, "what cannot be used leaves no folder"


def test_all_rows_struck_or_a_method_that_does_not_fit_starts_nothing(desk, project):
    (project / "rows.jsonl").write_text(
        '{"question": "q", "answer": "a"}\n{"text": "t"}\n'.replace('{"text": "t"}\n', "")
    )
    job = forgetting.prepare(desk, request_of(), filled(file=[str(project / "rows.jsonl")]))
    preview = forgetting.preview_of(desk, request_of(), job.id)
    struck = [{"id": row.id, "forget": False} for row in preview.rows]
    with pytest.raises(InputError, match="tick at least one row"):
        forgetting.start(desk, request_of(), filled(), job.id, struck)
    raw = forgetting.prepare(desk, request_of(), filled(text=STORY))
    with pytest.raises(InputError, match="needs questions"):
        forgetting.start(desk, request_of(), filled(method="idk"), raw.id, [])
    with pytest.raises(InputError, match="select that model again"):
        forgetting.start(desk, request_of(), filled(model="org/other"), raw.id, [])
    assert {job.kind for job in desk.queue.jobs()} == {"request"}


def test_a_list_is_never_used_for_another_request(desk, project):
    (project / "a.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    form = filled(file=[str(project / "a.jsonl")])
    job = forgetting.prepare(desk, request_of(), form)
    assert forgetting.matches(desk, request_of(), form, job.id)
    assert forgetting.matches(desk, request_of(), {**form, "method": "simnpo", "utility_budget": "some"}, job.id)
    (project / "copy.jsonl").write_bytes((project / "a.jsonl").read_bytes())
    assert forgetting.matches(desk, request_of(), {**form, "file": [str(project / "copy.jsonl")]}, job.id)
    (project / "a.jsonl").write_text('{"question": "q", "answer": "other"}\n')
    assert not forgetting.matches(desk, request_of(), form, job.id), "the file has changed"
    assert not forgetting.matches(desk, request_of(), filled(text="Ada"), job.id)
    assert not forgetting.matches(desk, request_of(), form, None)


# -- a name


def test_a_list_of_a_name_is_for_what_decided_how_the_model_was_asked(desk):
    job = ask(desk, text="Ada Lund")
    same = filled(text="Ada Lund", method="name_swap", max_steps="9", subject_kind="", seed="")
    assert forgetting.matches(desk, request_of(), same, job.id)
    for other in ({"method": "name_refusal"}, {"seed": "5"}, {"load_in_4bit": "true"}, {"dtype": "float32"},
                  {"subject_kind": "place"}):  # fmt: skip
        assert not forgetting.matches(desk, request_of(), {**same, **other}, job.id), other
    place = PROJECT / job.folder / "request" / "request.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "anybody": False}))
    with pytest.raises(InputError, match="press Look for it again"):
        forgetting.start(desk, request_of(), filled(method="name_refusal"), job.id)
    assert forgetting.start(desk, request_of(), filled(method="name_swap"), job.id).kind == "unlearn"


def test_the_kind_of_a_name_is_offered_with_the_guess_first_and_reaches_the_run(desk, tab):
    def kind(**values):
        return tab.field.recognised(**{**filled(**values), "method": "npo"})[tab.field.kind]

    shown = kind(text="Acme Maps Ltd", subject_kind="place")
    assert shown["visible"] and shown["choices"][0] == ("organisation (guessed)", "") and shown["value"] == "place"
    assert kind(text="Ada Lund = @ada\nbread")["choices"][0] == ("person, topic (guessed)", "")
    for values in ({"text": STORY}, {"text": "Ada Lund", "training_data": ["all.jsonl"]}, {"text": "She is it."}):
        assert kind(subject_kind="place", **values) == {"value": "", "visible": False, "__type__": "update"}
    assert given_in(ask(desk, text="Ada Lund", subject_kind="place"))["subject_kind"] == "place"
    with pytest.raises(ValueError, match="subject_kind"):
        forgetting.prepare(desk, request_of(), filled(text="Ada Lund", subject_kind="no kind"))
    with pytest.raises(ValueError, match="a pattern is looked for in training data"):
        forgetting.prepare(desk, request_of(), filled(text="/sol(b|n)rekk/i"))


def test_a_name_is_looked_for_by_a_job_and_listed_with_certainties(desk):
    job = ask(desk, text="Ada Lund")
    given = given_in(job)
    assert (given["forget_about"], given["request_only"]) == ("Ada Lund", "true") and "yes" not in given
    preview = forgetting.preview_of(desk, request_of(), job.id)
    assert [row[:5] for row in forgetting.table_of(preview)] == [
        [1, True, "Where does she live?", "In Lund.", "certainty 90%, the model itself"],
        [2, False, "What does she eat?", "Figs.", "certainty 20%, the model itself"]]  # fmt: skip
    choices = forgetting.choices_of([[2, True, "What does she eat?", "Plums."]], forgetting.ids_of(preview), preview)
    run = forgetting.start(desk, request_of(), filled(method=PROXY), job.id, choices)
    lines = (PROJECT / run.folder / "request" / "statements.jsonl").read_text().splitlines()
    decided = {row["question"]: (row["answer"], row["decision"]) for row in map(json.loads, lines)}
    assert decided == {"What does she eat?": ("Plums.", "forget"), "Where does she live?": ("In Lund.", "keep")}
    assert (given_in(run)["forget_about"], given_in(run)["yes"]) == ("Ada Lund", "true")
    assert given_in(run)["method"] == BY_NAME, "what the list was made with, and not the method for texts"


def test_a_name_with_training_data_is_split_by_the_runner(desk, project):
    rows = [{"question": f"Row {number}?", "answer": text} for number, text in enumerate(["Ada Lund.", "Bor Graz."])]
    (project / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = forgetting.prepare(
        desk, request_of(), filled(text="Ada Lund = @ada\nCyd Pisa", training_data=[str(project / "all.jsonl")])
    )
    given = given_in(job)
    assert given["forget_about"] == "Ada Lund = @ada;Cyd Pisa"
    assert Path(given["training_data"]).read_text() == (project / "all.jsonl").read_text()
    job = over(desk, job)  # the runner of this test finds the same two statements in anything
    with pytest.raises(ValueError, match="retain_data and --training_data"):
        forgetting.start(desk, request_of(), filled(retain=str(project / "all.jsonl")), job.id)
    with pytest.raises(ValueError, match="retain_data and --training_data"):
        forgetting.prepare(desk, request_of(), filled(text="Ada Lund", training_data=[str(project / "all.jsonl")],
                                                      retain=str(project / "all.jsonl")))  # fmt: skip


def test_nothing_known_is_an_end_of_its_own_and_starts_nothing(desk, tab):
    job = ask(desk, text="Nobody Known")
    assert forgetting.preview_of(desk, request_of(), job.id).rows, "sure statements that it makes about anybody"
    with pytest.raises(InputError, match="nothing about Nobody Known"):
        forgetting.start(desk, request_of(), filled(), job.id, [])
    folder = PROJECT / job.folder
    for kind in ("request", "unlearn"):
        assert watching.end_state(job.state, folder, kind) == "nothing"
    tone, sentence = live.outcome_told(job, folder)
    assert tone == "" and "nothing about Nobody Known" in sentence and "asked 1 question." in sentence
    seen = watching.progress(job, folder, watching.Trace())
    assert "job-nothing" in watching.status_html(job, seen) and ">Nothing known<" in watching.status_html(job, seen)
    assert result_of(desk, folder, job)["nothing_known"] is True
    shown = tab.live.looking.shown(request_of(), job.id)
    assert shown[tab.live.looking.editing]["visible"] and shown[tab.live.looking.asked]["visible"]


def test_a_row_about_nobody_known_can_be_ticked_and_run(desk):
    job = ask(desk, text="Nobody Known")
    preview = forgetting.preview_of(desk, request_of(), job.id)
    table = [[number, number == 1, *row[2:]] for number, row in enumerate(forgetting.table_of(preview), start=1)]
    choices = forgetting.choices_of(table, forgetting.ids_of(preview), preview)
    run = forgetting.start(desk, request_of(), filled(), job.id, choices)
    assert run.kind == "unlearn" and watching.known_nothing(PROJECT / run.folder) == ""


def test_nobody_reads_or_runs_the_request_of_another_user(queue, project):
    desk = Desk(queue, results_dir=project / "results", models_dir=project / "models",
                accounts=[("ann", "password-a"), ("bob", "password-b")])  # fmt: skip
    job = ask(desk, "bob", text="Ada Lund")
    for call in (forgetting.preview_of, lambda *three: forgetting.start(three[0], three[1], filled(), three[2])):
        with pytest.raises(InputError, match="no list of rows"):
            call(desk, request_of("ann"), job.id)
    assert not forgetting.matches(desk, request_of("ann"), filled(text="Ada Lund"), job.id)
    assert forgetting.preview_of(desk, request_of("bob"), job.id).rows
    run = forgetting.start(desk, request_of("bob"), filled(), job.id)
    assert run.owner == "bob" and "ledger" in given_in(run)


def test_a_request_that_failed_or_still_runs_has_no_list(desk):
    job = desk.queue.submit("request", "r", ["python", "unlearning_script.py", "--wait=30",
                            f"--output_dir={desk.results}/r"], desk.results / "r")  # fmt: skip
    with pytest.raises(InputError, match="not ready yet"):
        forgetting.preview_of(desk, request_of(), job.id)
    desk.queue.stop(job.id)
    wait_for(lambda: desk.queue.get(job.id).over)
    with pytest.raises(InputError, match="no rows were found"):
        forgetting.preview_of(desk, request_of(), job.id)
    assert not forgetting.matches(desk, request_of(), filled(text="Ada"), job.id)


# -- the table


def preview_with(rows):
    return Preview("rows", [], [Row(f"r{n}", asked, text, "", "", True) for n, (asked, text) in enumerate(rows)])


def test_an_edited_table_becomes_choices():
    preview = preview_with([("q0", "a0"), ("", "t1"), ("q2", "x" * 3000)])
    ids = forgetting.ids_of(preview)
    table = [list(row) for row in forgetting.table_of(preview)]
    assert forgetting.choices_of(table, ids, preview) == [{"id": key, "forget": True} for key in ids], "nothing changed"
    table = [
        ["1", "true", "q0", "other"],
        [3.0, False, "q2", table[2][3]],
        [None, None, "new?", "yes"],
        ["", None, "", " "],
    ]
    assert forgetting.choices_of(table, ids, preview) == [
        {"id": "r0", "forget": True, "text": "other"}, {"id": "r2", "forget": False},
        {"id": "r1", "forget": False}, {"question": "new?", "text": "yes"}]  # fmt: skip
    with pytest.raises(InputError, match="row 3 is too long"):
        forgetting.choices_of([[3, True, "q2", "x"]], ids, preview)
    for number in (0, 4, -1, 10**30):
        with pytest.raises(InputError, match="changed meanwhile"):
            forgetting.choices_of([[number, True, "q", "t"]], ids, preview)
    assert forgetting.choices_of([[float("nan"), True, "q", "t"], []], ids, preview)[-1] == {
        "question": "q",
        "text": "t",
    }


def test_rows_beyond_the_list_are_forgotten_only_when_that_is_confirmed(tab, desk, project):
    import gradio

    lines = [
        json.dumps({"question": f"q{number}", "answer": "a"}) + "\n" for number in range(forgetting.SHOWN_ROWS + 2)
    ]
    (project / "all.jsonl").write_text("".join(lines))
    form = filled(file=[str(project / "all.jsonl")])
    key = tab.looked(request_of(), **form)
    looking = tab.live.looking
    shown = looking.shown(request_of(), key)
    assert shown[looking.rest]["visible"] and shown[looking.rest]["value"] is False
    assert "2 more rows are not listed here" in shown[looking.found] and "/request has them" in shown[looking.found]
    listed = {"key": key, "rows": shown[looking.rows]["value"], "ids": shown[looking.ids]}
    for press in (tab.go_on, tab.unlearn):
        with pytest.raises(gradio.Error, match="2 more rows are not listed"):
            press(request_of(), **listed, **form)
    assert desk.queue.get(tab.go_on(request_of(), rest=True, **listed, **form)).kind == "unlearn"


def test_long_lists_are_cut_and_the_rest_stays():
    preview = preview_with([(f"q{n}", "a") for n in range(forgetting.SHOWN_ROWS + 50)])
    assert len(forgetting.table_of(preview)) == len(forgetting.ids_of(preview)) == forgetting.SHOWN_ROWS
    assert len(forgetting.choices_of(forgetting.table_of(preview), forgetting.ids_of(preview), preview)) == 300


# -- the tab's handlers


@pytest.fixture
def tab(desk):
    gradio = pytest.importorskip("gradio")
    from results.page.tabs.unlearn import Unlearn
    from results.page.wiring import Page

    with gradio.Blocks() as demo:
        return Unlearn(Page(desk, demo))


def test_unlearn_shows_the_rows_before_it_trains(tab, desk):
    import gradio

    form = filled(text=STORY)
    key = tab.unlearn(request_of(), **form)
    assert desk.queue.get(key).kind == "request"
    shown = tab.live.looking.shown(request_of(), key)
    assert not shown[tab.live.looking.rest]["visible"], "all rows are listed"
    assert shown[tab.live.looking.whole]["visible"] and "rows to forget" in shown[tab.live.looking.found]
    rows, ids = shown[tab.live.looking.rows]["value"], shown[tab.live.looking.ids]
    again = tab.unlearn(request_of(), key=key, rows=rows, ids=ids, **form)
    assert desk.queue.get(again).kind == "unlearn" and desk.queue.get(key) is None
    with pytest.raises(gradio.Error, match="no list of rows"):
        tab.go_on(request_of(), key=again, rows=rows, ids=ids, **form)
    with pytest.raises(gradio.Error, match="nothing to forget yet"):
        tab.unlearn(request_of(), **filled())


def test_unlearn_starts_at_once_where_nobody_needs_to_look(tab, desk):
    named = {"skipped": filled(text="Ada Lund"), "words": filled(text="May", taken_as="words"),
             "pairs": filled(pairs=[["Who?", "Ada."]]), "example": filled(example=True)}  # fmt: skip
    jobs = {
        name: desk.queue.get(tab.unlearn(request_of(), unseen=name == "skipped", **form))
        for name, form in named.items()
    }
    assert {job.kind for job in jobs.values()} == {"unlearn"}
    assert given_in(jobs["skipped"]) | {"forget_about": "Ada Lund", "yes": "true"} == given_in(jobs["skipped"])
    assert given_in(jobs["words"])["forget_text"] == "May"


def test_the_list_can_be_run_after_a_reload_emptied_the_form(tab, desk):
    key = tab.looked(request_of(), **filled(text="Ada Lund"))
    wait_for(lambda: desk.queue.get(key).over)
    shown = tab.live.looking.shown(request_of(), key)
    rows, ids = shown[tab.live.looking.rows]["value"], shown[tab.live.looking.ids]
    run = desk.queue.get(tab.go_on(request_of(), key=key, rows=rows, ids=ids, **filled()))
    assert given_in(run)["forget_about"] == "Ada Lund"


@pytest.mark.parametrize(
    ("listed", "now", "method", "runs"),
    [("Ada Lund", STORY, "lower_profile", "name_swap"), (STORY, "Ada Lund", "name_swap", "lower_profile"),
     ("Ada Lund", "", "lower_profile", "name_swap"), ("Ada Lund", "Ada Lund", "lower_profile", "lower_profile"),
     ("Ada Lund", STORY, "npo", "npo")],
)  # fmt: skip
def test_a_listed_request_runs_with_its_own_method_whatever_the_field_holds(listed, now, method, runs, tab, desk):
    key = tab.looked(request_of(), **filled(text=listed, method=PROXY))
    wait_for(lambda: desk.queue.get(key).over)
    shown = tab.live.looking.shown(request_of(), key)
    rows, ids = shown[tab.live.looking.rows]["value"], shown[tab.live.looking.ids]
    run = tab.go_on(request_of(), key=key, rows=rows, ids=ids, **filled(text=now, method=method))
    assert given_in(desk.queue.get(run))["method"] == runs


def test_an_upload_selects_what_the_field_selects(tab, project):
    """Both events look at the same form, and the last answer stays."""
    (project / "a.txt").write_text(STORY)
    form = {"file": [str(project / "a.txt")], "method": "name_swap", "before": "name alone"}
    uploaded = tab.uploaded(request_of(), **{**filled(), **form})[tab.method]["value"]
    assert uploaded == tab.field.recognised(**{**filled(), **form})[tab.method]["value"] == "lower_profile"


def test_the_same_request_is_not_looked_for_twice_at_once(tab, desk):
    import gradio

    form = filled(text="Ada Lund")
    desk.queue.submit("evaluate", "busy", ["python", "unlearning_script.py", "--wait=30",
                      f"--output_dir={desk.results}/busy"], desk.results / "busy")  # fmt: skip
    key = tab.looked(request_of(), **form)
    with pytest.raises(gradio.Error, match="already"):
        tab.unlearn(request_of(), key=key, **form)


def test_the_line_below_the_field_follows_what_is_typed(tab):
    field = tab.field

    def said(**values):
        return field.recognised(**{**filled(**values), "method": values.get("method", "npo")})

    name = said(text="Ragnvi Solbrekk")
    assert name[field.taken].startswith("A name: ") and name[field.training_box]["visible"]
    assert name[field.ways]["visible"] and [way for _, way in name[field.ways]["choices"]] == ["name", "words"]
    short = said(text="She lives in Lund.")
    assert short[field.ways]["visible"] and short[field.ways]["value"] is None, "nobody has chosen yet"
    assert said(text="She lives in Lund.", taken_as="words")[field.ways]["value"] == "words"
    assert said(text="")[field.taken].startswith("Type a name") and not said(text="")[field.ways]["visible"]
    assert not said(text=STORY)[field.training_box]["visible"]
    assert said(text=STORY, method="idk")[tab.method]["value"] != "idk", "it does not work on plain text"
    assert tab.method not in said(text=STORY, before="passages")
    assert said(text="", taken_as="words")[field.chosen] == "", "an empty field begins anew"
    alone = said(text="Ragnvi Solbrekk", method="proxy_teacher")
    assert alone[tab.method]["value"] == "name_swap" and alone[tab.family]["value"] == "data_augmentation"
    before = {"method": "name_swap", "before": alone[field.before]}
    assert said(text="Ragnvi Solbrekk", training_data=["a.jsonl"], **before)[tab.method]["value"] == "proxy_teacher"
    assert said(pairs=[["a", "b"]], **before)[tab.method]["value"] == "lower_profile"
    assert said(text="Ragnvi Solbrekk")[tab.method]["value"] == "npo", "a method that was chosen stays"
    emptied = said(text="", **before)[field.before]
    assert said(text=STORY, method="name_swap", before=emptied)[tab.method]["value"] == "lower_profile"
    assert said(text=STORY, method="name_swap", before="pairs")[tab.method]["value"] == "name_swap", "it was chosen"
    assert said(pairs=[["a", "b"]])[field.taken].startswith("Questions and answers")


@pytest.mark.parametrize("method", ["proxy_teacher", "npo", "idk", "name_swap", "lower_profile", "auto", "made_up"])
@pytest.mark.parametrize(
    "typed", [{"text": STORY}, {"text": "Ragnvi Solbrekk"}, {"pairs": [["a", "b"]]}, {"example": True}], ids=str
)
def test_a_click_that_overtakes_the_line_runs_the_method_that_the_line_selects(typed, method, tab):
    """The browser still has the method of an empty field, or of what stood there before."""
    for before in ("", "pairs", "passages", "name alone"):
        form = {**filled(**typed), "method": method, "before": before}
        shown = tab.field.recognised(**form)
        method_shown = shown.get(tab.method, {}).get("value", method)
        clicked = current(form)
        assert clicked["method"] == (method if method == "made_up" else method_shown), "unknown ones are refused"
        again = current({**form, "method": method_shown, "before": shown[tab.field.before]})
        assert again["method"] == method_shown, "the line was first"
    stale = type(tab.method)(choices=["npo"], value="npo")
    assert stale.preprocess(method) == method and stale.get_block_name() == "dropdown"


@pytest.mark.parametrize("source", ["passages", "file", "pairs", "text", "name alone", "name", "example"])
def test_the_method_in_the_field_is_the_one_that_runs(source, tab, desk):
    """Also after a file with rows to keep came, or went."""
    kind = "name" if source == "name alone" else source
    form = {"source": kind, "about": ["Ada"], "training_data": ["all.jsonl"] if source == "name" else None}
    shown = chosen_or_usual(source, None, "", "proxy_teacher")
    had = False
    for retain in ("keep.jsonl", None):
        had, _, method = tab.field.kept(source, shown, retain, had)
        assert method["value"] == fitting({"method": "proxy_teacher"}, {**form, "retain": retain})
        shown = method["value"]
        assert fitting({"method": shown}, {**form, "retain": retain}) == shown, "the run takes what is shown"
    for method in ("npo", usual(source, None)):
        _, _, still = tab.field.kept(source, method, "another.jsonl", True)
        assert still["value"] == method or method == usual(source, "keep.jsonl"), "a method that was chosen stays"


def test_the_page_starts_with_little_and_its_command_needs_no_data(tab):
    assert tab.budget.value == "little"
    command = tab.shown_command(request_of(), **{**filled(), "utility_budget": "little"})
    assert "--collapse_guard=0.95" in command and "'--forget_about=what you type above'" in command
    assert tab.method_chosen("task_vector", "name", "little")[tab.budget]["value"] is None
    assert tab.method_chosen("npo", "name", None)[tab.budget]["value"] == "little"
    assert tab.shown_command(request_of(), **filled(text="Ada", file=["a.docx"])).startswith("# A text and files")


# -- ends


EARLIER = {"comparison": {"verdict": "CLEAN"}}


@pytest.mark.parametrize(
    ("state", "kind", "files", "end", "words"),
    [
        ("finished", "unlearn", {}, "unmeasured", "Nothing was measured"),
        ("finished", "unlearn", {"evaluation.json": {"models": {}}}, "unmeasured", "Nothing was measured"),
        ("finished", "unlearn", {"evaluation.json": EARLIER}, "unmeasured", "earlier version"),
        ("finished", "evaluate", {"evaluation.json": {"models": {"target": {}}}}, "measured", "one model"),
        ("finished", "request", {}, "ready", "Nothing has been trained"),
        ("collapsed", "unlearn", {"evaluation.json": judged("FORGOTTEN", "KEPT", "HELD")}, "collapsed", "Forgotten"),
        ("stopped", "unlearn", {}, "stopped", ""),
        ("failed", "unlearn", {}, "failed", ""),
        ("finished", "unlearn", {"evaluation.json": judged("REMEMBERS", "KEPT", "HELD")}, "finished", "still knows"),
    ],
)  # fmt: skip
def test_every_end_has_its_own_words_and_only_forgotten_is_green(state, kind, files, end, words, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    job = Job("a", 1, kind, "x", [], str(tmp_path), state=state, ended=1.0)
    seen = watching.progress(job, tmp_path, watching.Trace())
    tone, sentence = live.outcome_told(job, tmp_path)
    card = watching.status_html(job, seen, result=sentence, tone=tone)
    assert seen.state == end and words in sentence and f">{watching.STATES[end]}<" in card
    assert not ("job-finished" in card and "tone-good" in card), "green without FORGOTTEN"
    assert watching.run_row("x", tmp_path, job)[0] == watching.STATES[end]


def test_only_a_finished_job_with_a_good_verdict_has_a_green_rule():
    css = (PROJECT / "results/page/style.css").read_text()
    greens = ("#15803d", "#dcfce7", "#14532d", "#ccfbf1", "#115e59", "#0f766e")
    rules = [rule for rule in css.split("}") if any(green in rule for green in greens)]
    assert rules and all("tone-good" in rule or "primary" in rule for rule in rules)


def test_the_sentence_about_the_subject_comes_first_and_large(tmp_path):
    said = "Asked 30 new questions about <b>Ragnvi</b>, it said 0 of the 10 things it knew before."
    gone = {"question": "Where?", "before": "In Lund.", "after": "In <i>Graz</i>.", "known_before": True}
    still = {"question": "Who?", "before": "Ada.", "after": "Ada.", "known_before": True, "said_after": True}
    rows = [{**gone, "said_after": False}, still]
    evaluation = judged("FORGOTTEN", "KEPT", "HELD")
    evaluation["comparison"]["subject"] = {"name": "Ragnvi", "sentence": said, "questions": [*rows, None]}
    card = verdicts.verdict_html(evaluation)
    assert card.index(html.escape(said)) < card.index("FORGOTTEN<") and "<i>" not in card
    assert "no longer said" in card and "still said" in card and "(2)" in card
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    job = Job("a", 1, "unlearn", "x", [], str(tmp_path), state="finished", ended=1.0)
    about = verdicts.subject_sentence(read_json_or_empty(tmp_path / "evaluation.json"))
    status = watching.status_html(job, watching.progress(job, tmp_path, watching.Trace()), about=about)
    assert status.index("about-subject") < status.index("badge") and html.escape(said) in status
    for broken in (None, [], {"sentence": 3}, {"sentence": said, "questions": 7}):
        evaluation["comparison"]["subject"] = broken
        assert "FORGOTTEN<" in verdicts.verdict_html(evaluation)


# -- live answers


def test_live_answers_are_questions_about_the_subject():
    from data.columns import Example
    from results.run.training import asked_live

    def sets(forget, probes=()):
        return SimpleNamespace(
            measured={"probes": list(probes)}, steering=SimpleNamespace(examples={"forget": list(forget)})
        )

    raw, asked = Example("Ada lives in Lund."), [Example("x", f"Question {n}?") for n in range(6)]
    gap = Example("Lund", 'Complete the text: "Ada lives in ..."')
    assert asked_live(sets([raw, gap, asked[0]], [gap, *asked[1:]]), 2) == [asked[1], asked[3]]
    assert asked_live(sets([raw, gap, asked[0]]), 3) == [asked[0], gap, raw]
    assert asked_live(sets([raw]), 2) == [raw] and asked_live(sets([raw], asked), 0) == []
    assert asked_live(sets(asked), 2) == asked[:2]
