"""The field "What should it forget?": a name, a text or files, and the line that says what it was taken for."""

from __future__ import annotations

from data.reading import TYPES
from data.recognising import EMPTY, WAYS
from models.eliciting.questions import KINDS, guessed_kind
from results.page import forgetting
from results.page.methods import fits, fitting, recommended
from results.page.wiring import PRIVATE, QUIET, Page, gr
from results.run.request.flags import PROXY
from unlearning_algorithm import METHODS

# Unsent text survives a reload, in this browser tab only, because it is sensitive.
DRAFT = """const draft = 'unlearning-draft-' + (window.gradio_config?.username ?? '');
    const said = JSON.stringify([typed[0], typed[1], typed[2]?.data]);"""
PUT_BACK_DRAFT = f"""(...typed) => {{{DRAFT} window.draftWasRead = true;
    try {{return JSON.parse(sessionStorage.getItem(draft)) ?? typed}} catch {{return typed}}}}"""
# Fields also change while the page sets them up, and again after their content was sent.
KEEP_DRAFT = f"""(...typed) => {{{DRAFT} if (window.draftWasRead && said !== window.draftSent)
    try {{sessionStorage.setItem(draft, JSON.stringify(typed))}} catch {{}} return []}}"""
DROP_DRAFT = f"(...typed) => {{{DRAFT} window.draftSent = said; sessionStorage.removeItem(draft); return []}}"
EXAMPLE = "An example: the default model forgets 4 of the 20 invented people that it was trained on (a few minutes)"
PAIRS = "Questions and answers: the answers in the table below are forgotten."
GUESSED = ("guessed", "")  # of the kinds
ALONE = "name alone"  # a name without training data: the model is asked about it
# source of a form: what `methods` knows it as
AS_DATA = {
    "name": "pairs",
    ALONE: "pairs",
    "pairs": "pairs",
    "example": "pairs",
    "text": "text",
    "passages": "text",
    "file": "text",
}


class Field:
    """The components. `data`: those that a form sends, by the names that the API and the desk use."""

    def __init__(self, page: Page):
        self.page = page
        with gr.Row(equal_height=True):
            self.text = gr.Textbox(
                value="",
                lines=4,
                max_lines=20,
                label="What should it forget?",
                elem_id="what",
                placeholder="A name, a title or a topic, or a text",
                scale=3,
                min_width=230,
            )
            self.files = gr.File(
                label="Or files",
                file_count="multiple",
                type="filepath",
                height=150,
                elem_id="files",
                scale=2,
                min_width=180,
            )
        self.taken = gr.Textbox(EMPTY, label="Taken as", interactive=False, max_lines=5, elem_id="taken-as")
        ways = [(label, key) for key, label in WAYS.items()]
        about = "The kind decides which questions are asked about it."
        self.kind = gr.Dropdown([GUESSED, *KINDS], value="", label="What it is", visible=False, info=about)
        self.ways = gr.Radio(ways, value=None, label="Take it as", visible=False)
        self.chosen = gr.Textbox("", visible=False, label="Way that was chosen")

    def more(self):
        """The rarer ways, which stand below the buttons."""
        with gr.Column(visible=False) as self.training_box:
            self.training = gr.File(
                label="Data the model was trained on (best, optional)",
                file_count="multiple",
                type="filepath",
                height=150,
            )
            gr.Markdown(
                "With it, the rows about the name are found and forgotten, and the other rows are kept. Without it, "
                "the model itself is asked what it knows.",
                elem_classes="hint",
            )
        with gr.Accordion("Other ways: questions and answers, an example, types of files", open=False):
            self.pairs = gr.Dataframe(
                headers=["Question", "Answer to forget"],
                datatype="str",
                type="array",
                row_count=3,
                column_count=2,
                interactive=True,
                wrap=True,
                label="Questions, and the answers to forget",
                value=[["", ""]] * 3,
            )
            self.example = gr.Checkbox(False, label=EXAMPLE)
            gr.Markdown(f"Files: {TYPES}; each at most 50 MB.", elem_classes="hint")
        # The browser keeps it beside the method that belongs to it, so a click sends both as they were on the screen.
        self.before = gr.Textbox("", visible=False, label="What the field held")
        self.typed = [self.text, self.chosen, self.pairs]  # a browser cannot restore a file
        self.data = {
            "text": self.text,
            "taken_as": self.chosen,
            "file": self.files,
            "training_data": self.training,
            "pairs": self.pairs,
            "example": self.example,
            "subject_kind": self.kind,
        }

    def wire(self, method, retain, outputs, update):
        """Says at once what was typed or chosen. `update(data, method)`: a method that fits, in `outputs`.

        `retain`: the file with rows to keep.
        """
        self.update, self.had = update, gr.State(False)
        self.ways.input(lambda way: way, self.ways, self.chosen, queue=False, **QUIET)
        shown = [self.taken, self.ways, self.chosen, self.kind, self.training_box, self.before]
        gr.on(
            [field.change for field in self.data.values()],
            self.recognised,
            inputs_kwargs={**self.data, "before": self.before, "method": method, "retain": retain},
            outputs=[*shown, *outputs],
            trigger_mode="always_last",
            **QUIET,
        )
        retain.change(self.kept, [self.before, method, retain, self.had], [self.had, *outputs], **QUIET)
        page = self.page
        page.demo.load(None, self.typed, self.typed, js=PUT_BACK_DRAFT, **PRIVATE)
        gr.on([field.change for field in self.typed], None, self.typed, js=KEEP_DRAFT, **PRIVATE)

    def drop_draft(self, event):
        """After `event` started a run: what was typed is sent, and no longer a draft."""
        event.success(None, self.typed, js=DROP_DRAFT, **PRIVATE)

    def kept(self, source, method, retain, had):
        """Whether there is a file with rows to keep, and a method that fits after it came or went; `had`: before."""
        moved = bool(retain) != had and method == usual(source, had)
        fits = usual(source, retain) if moved else method
        return [bool(retain), *self.update(AS_DATA.get(source, "pairs"), fits).values()]

    def recognised(self, before="", method=None, retain=None, **data):
        """The line below the field, the other ways to take it, and a method that fits."""
        found = forgetting.taken(data)
        chosen = data.get("taken_as") if found.kind != "nothing" else ""
        source, said = forgetting.SOURCE_OF.get(found.kind, ""), found.said
        if found.kind == "nothing":
            pairs = any(str(cell or "").strip() for row in data.get("pairs") or () for cell in row)
            source = "pairs" if pairs else "example" if data.get("example") is True else ""
            said = {"pairs": PAIRS, "example": f"{EXAMPLE}."}.get(source, said)
        source = _named(source, data)
        ways = [(WAYS[way], way) for way in WAYS if way in found.ways]
        several = len(ways) > 1
        shown = {
            self.taken: said,
            self.ways: gr.update(choices=ways, value=None if found.kind == "short" else found.ways[0], visible=True)
            if several
            else gr.update(visible=False),
            self.chosen: chosen,
            self.kind: kind_choices(found.names if source == ALONE else (), data.get("subject_kind")),
            self.training_box: gr.update(visible=found.kind == "name" or bool(data.get("training_data"))),
            self.before: source or before,
        }
        changed = source and source != before
        fits = self.update(AS_DATA[source], chosen_or_usual(source, retain, before, method)) if changed else {}
        return {**shown, **fits}


def current(form: dict) -> dict:
    """The form as it was sent, with the method that fits what it asks for: a click can overtake the line that says so.

    `before`: what the field held when the browser got the method that it sends.
    """
    before, method = form.get("before") or "", form.get("method")
    form = forgetting.asked({name: value for name, value in form.items() if name != "before"})
    source = _named(form["source"], form)
    if source != before:
        method = chosen_or_usual(source, form.get("retain"), before, method)
        if method in METHODS and not fits(method, AS_DATA[source]):
            method = recommended(AS_DATA[source])
    return {**form, "method": method}


def _named(source: str, form: dict) -> str:
    return ALONE if source == "name" and not form.get("training_data") else source


def kind_choices(names, chosen):
    """Update of the kinds of a name that the model is asked about, the guessed one first; hidden without names."""
    if not names:
        return gr.update(value="", visible=False)
    kinds = list(dict.fromkeys(guessed_kind(name.split(" = ")[0]) for name in names))
    first = (f"{', '.join(kinds)} (guessed)", "")
    return gr.update(choices=[first, *KINDS], value=chosen if chosen in KINDS else "", visible=True)


def usual(source: str, retain, method: str = PROXY) -> str:
    """The recommended method becomes what the runner takes for a source; another method stays."""
    if not source:
        return method
    kind, training = ("name", None) if source == ALONE else (source, "-")
    return fitting({"method": method}, {"source": kind, "training_data": training, "retain": "-" if retain else None})


def chosen_or_usual(source: str, retain, before: str, method) -> str:
    """What the runner takes for a new source, in the place of what it took for the one before; a chosen one stays."""
    return usual(source, retain, PROXY if method == usual(before, retain) else method)
