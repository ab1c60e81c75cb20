"""The Unlearn tab: what to forget, which model and how, beside the live view of the job."""

from __future__ import annotations

import shlex
from typing import Any

import unlearning_algorithm as algorithm
from data.reading import TYPES
from models.store.paths import PROJECT
from results.page.desk import ADVANCED, SOURCES, UNTYPED
from results.page.live import Live
from results.page.methods import family_choices, family_of, fits, method_choices, method_text, recommended
from results.page.wiring import MODELS, PRIVATE, QUIET, Page, by_name, command_line, gr, table, told
from results.run import options

SHOWN_ROWS = 20  # of the data to forget
BUDGETS = [("Up to 5 %", "0.05"), ("Up to 20 %", "0.2"), ("Up to half", "")]
BUDGET_INFO = (
    "Checked ten times during training: the run stops at a larger loss. With 5 % or 20 % it then restores its best "
    "state within the limit."
)
AUTO_BUDGET = "A trial that loses more is rejected. If all lose more, the search takes the one that keeps most."
NO_BUDGET = "This method cannot stop at a limit. The loss is measured at the end."
TIMES = [("10 minutes", "10m"), ("30 minutes", "30m"), ("1 hour", "1h"), ("3 hours", "3h")]
GROUPS = {"training": "Training", "method": "Method settings", "model": "Model", "data": "Data", "run": "Run"}
# Unsent text survives a reload, in this browser tab only, because it is sensitive.
DRAFT = """const draft = 'unlearning-draft-' + (window.gradio_config?.username ?? '');
    const said = JSON.stringify([typed[0], typed[1], typed[2]?.data]);"""
PUT_BACK_DRAFT = f"""(...typed) => {{{DRAFT} window.draftWasRead = true;
    try {{return JSON.parse(sessionStorage.getItem(draft)) ?? typed}} catch {{return typed}}}}"""
# Fields also change while the page sets them up, and again after their content was sent.
KEEP_DRAFT = f"""(...typed) => {{{DRAFT} if (window.draftWasRead && said !== window.draftSent)
    try {{sessionStorage.setItem(draft, JSON.stringify(typed))}} catch {{}} return []}}"""
DROP_DRAFT = f"(...typed) => {{{DRAFT} window.draftSent = said; sessionStorage.removeItem(draft); return []}}"


class Unlearn:
    """The form of a run. `form`: its fields by the names that the API and the desk use."""

    TITLE = "Unlearn"

    def __init__(self, page: Page):
        self.page, self.desk = page, page.desk
        with gr.Row(equal_height=False, elem_id="desk-row"):
            with gr.Column(scale=6, min_width=320):
                self._what_to_forget()
                self._what_was_read()
                self._how()
                self._what_to_keep()
                self._advanced()
                letters = "Letters, digits, '.', '-' and '_'."
                self.name = gr.Textbox(label="Run name (optional)", max_length=80, info=letters)
                command = f"python unlearning_script.py --method={recommended('text')} --forget_text='{UNTYPED}'"
                self.command = command_line("The command that will run", "command", command)
            with gr.Column(scale=7, min_width=320, elem_id="live"):
                self.live = Live(page)
        files = {"retain": self.retain, "holdout": self.holdout}
        how = {"model": self.model, "method": self.method, "name": self.name}
        limits = {"utility_budget": self.budget, "time_budget": self.time, "earlier": self.earlier}
        self.data = {"source": self.source, "text": self.text, "pairs": self.pairs, "file": self.file}
        self.form = {**self.data, **files, **how, **limits, **self.advanced}
        self._events()

    def wire(self):
        """Links the live view to other tabs."""
        self.live.wire()

    # -- components

    def _what_to_forget(self):
        """One box each for typed text, questions, a file and the example. Only one box is shown."""
        sources = [(label, key) for key, label in SOURCES.items()]
        self.source = gr.Radio(sources, value="text", label="What should the model forget?", elem_id="source")
        with gr.Column() as text_box:
            self.text = gr.Textbox(
                value="",
                lines=6,
                max_lines=20,
                label="Text to forget",
                elem_id="what",
                placeholder="Type or paste it here. An empty line starts a new passage.",
            )
        with gr.Column(visible=False) as pairs_box:
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
        with gr.Column(visible=False) as file_box:
            self.file = gr.File(label=f"File to forget ({TYPES}; at most 50 MB)", type="filepath", height=150)
            gr.Markdown(
                "A text, or a table with columns such as question and answer, prompt and completion, messages, or "
                "text.",
                elem_classes="hint",
            )
        with gr.Column(visible=False) as example_box:
            gr.Markdown(
                "The default model was trained on 20 invented people. The example makes it forget four of them and "
                "compares it with a model that never saw these four. It takes a few minutes.",
                elem_classes="hint",
            )
        self.boxes = {"text": text_box, "pairs": pairs_box, "file": file_box, "example": example_box}

    def _what_was_read(self):
        with gr.Row(equal_height=True):
            self.start = gr.Button("Unlearn", variant="primary", elem_id="unlearn-button", scale=3, min_width=180)
            self.check = gr.Button("Check data", scale=2, min_width=140)
        self.notes = gr.Textbox(label="What was read", visible=False, interactive=False)
        headers, widths = ["Row", "Context (kept)", "To be forgotten"], ["60px", "45%", "45%"]
        self.preview = table(
            headers, "First rows", visible=False, max_height=300, column_widths=widths, elem_classes=None
        )

    def _how(self):
        chosen = recommended("text")
        family = family_of(chosen)
        with gr.Group():
            self.model = gr.Dropdown(
                MODELS,
                value=options.TARGET,
                allow_custom_value=True,
                label="Model",
                info="Select one, or type a folder below models/ or a Hugging Face name such as org/name.",
            )
            self.page.keep_fresh_models(self.model)
            with gr.Row(equal_height=True):
                self.family = gr.Dropdown(family_choices(), value=family, label="Approach", min_width=200)
                choices = method_choices(family, "text")
                self.method = gr.Dropdown(choices, value=chosen, label="Method", min_width=160)
            self.about = gr.Markdown(method_text(chosen, "text"), elem_classes=["hint", "about"])
            label = "How much other knowledge may it lose? (utility budget)"
            self.budget = gr.Radio(BUDGETS, value="", label=label, info=BUDGET_INFO)
            self.time = gr.Dropdown(
                TIMES,
                value=TIMES[0][1],
                allow_custom_value=True,
                visible=False,
                label="How long may the search take?",
                info="Select one, or type a time such as 90s, 45m or 2h. It includes the run of the best method.",
            )

    def _what_to_keep(self):
        with gr.Accordion("What it should keep (optional)", open=False):
            gr.Markdown(
                "Add text or questions of the same kind that should stay. Without a file, the tool uses a general "
                "collection of everyday questions. Similar rows that the model never saw show what 'forgotten' looks "
                "like; half of them only judge the result.",
                elem_classes="hint",
            )
            self.earlier = gr.Checkbox(
                value=True,
                label="Keep earlier requests forgotten",
                info="For a model that a run here made: the run needs the earlier texts again, and retests them.",
            )
            self.retain = gr.File(label="File with rows to keep", type="filepath", height=150)
            self.holdout = gr.File(label="File with similar rows that it never saw", type="filepath", height=150)

    def _advanced(self):
        """A field per setting of the runner's table; an empty one means the method's default."""
        known = algorithm.hyper_parameters(options.OPTIONS["method"].default, 0)
        fields: dict[str, Any] = {}
        with gr.Accordion("Advanced settings", open=False, elem_id="advanced"):
            gr.Markdown("Empty fields use the method's default.", elem_classes="hint")
            for group, title in GROUPS.items():
                with gr.Accordion(title, open=False), gr.Row(equal_height=False):
                    for name, option in ADVANCED.items():
                        if option.group == group:
                            default = known.get(name, option.default)
                            fields[name] = _field(name, option, default, group != "method" or name in known)
        self.advanced = {name: fields[name] for name in ADVANCED}

    # -- events

    def _events(self):
        read, kind = [self.notes, self.preview], [self.family, self.method]
        self.check.click(self.checked, list(self.data.values()), read, api_name="check")
        self.file.upload(
            self.uploaded, inputs_kwargs={**self.data, "method": self.method}, outputs=[*read, *kind], **PRIVATE
        )
        at_once = {**QUIET, "queue": False}
        self.source.change(self.sources, [self.source, self.method], [*self.boxes.values(), *kind], **at_once)
        self.source.change(method_text, [self.method, self.source], self.about, **QUIET)
        self.source.change(lambda: [gr.update(visible=False)] * 2, None, read, **at_once)
        self.family.input(self.family_chosen, [self.family, self.source], self.method, **QUIET)
        outputs = [self.about, self.budget, self.time, *self.advanced.values()]
        self.method.change(self.method_chosen, [self.method, self.source], outputs, **QUIET)
        gr.on(
            [field.change for field in self.form.values()],
            by_name(self.shown_command, self.form),
            inputs_kwargs=self.form,
            outputs=self.command,
            api_name="command",
            show_progress="hidden",
            trigger_mode="always_last",
        )
        started = self.start.click(
            by_name(self.unlearn, self.form),
            inputs_kwargs=self.form,
            outputs=self.page.job,
            api_name="unlearn",
            concurrency_limit=8,
        )
        self.live.start(started)
        typed = [self.source, self.text, self.pairs]  # a browser cannot restore a file
        started.success(None, typed, js=DROP_DRAFT, **PRIVATE)
        self.page.demo.load(None, typed, typed, js=PUT_BACK_DRAFT, **PRIVATE)
        gr.on([field.change for field in typed], None, typed, js=KEEP_DRAFT, **PRIVATE)

    def sources(self, source, method):
        """Shows the box of the chosen source, and a method that works on it."""
        boxes = {box: gr.update(visible=source == key) for key, box in self.boxes.items()}
        return {**boxes, **self._fitting(source, method)}

    def _fitting(self, source, method) -> dict:
        """Updates of approach and method: keeps the method if it works on the source."""
        if method not in (*algorithm.METHODS, options.AUTO) or not fits(method, source):
            method = recommended(source)
        family = family_of(method)
        choices = method_choices(family, source)
        return {self.family: gr.update(value=family), self.method: gr.update(choices=choices, value=method)}

    def family_chosen(self, family, source):
        """The methods of an approach, its default selected."""
        choices = method_choices(family, source)
        return gr.update(choices=choices, value=choices[0][1] if choices else None)

    def method_chosen(self, name, source):
        """What the method does, its utility budget, and its defaults as hints in the advanced settings."""
        known = algorithm.hyper_parameters(name, 0) if name in algorithm.METHODS else {}
        updates = {self.about: method_text(name, source)}
        for key, option in ADVANCED.items():
            default = known.get(key, option.default)
            hint = {} if option.kind is bool or option.choices else {"placeholder": default_text(default)}
            visible = option.group != "method" or key in known
            updates[self.advanced[key]] = gr.update(visible=visible, info=info(option, default), **hint)
        searches = name == options.AUTO
        held = searches or (name in algorithm.METHODS and algorithm.METHODS[name].guarded)
        budget = {"info": AUTO_BUDGET if searches else BUDGET_INFO} if held else {"info": NO_BUDGET, "value": ""}
        updates[self.budget] = gr.update(interactive=held, **budget)
        updates[self.time] = gr.update(visible=searches)
        return updates

    def shown_command(self, request, **form):
        """The command for the current form, or why there is none."""
        try:
            return shlex.join(self.desk.command(request, form))
        except ValueError as error:
            if not hasattr(error, "exit_code"):
                raise
            return "\n".join(f"# {line}" for line in str(error).splitlines())

    @told
    def checked(self, request: gr.Request, source, text, pairs, file):
        """First rows of the data to forget, after the checks of a real run."""
        return self._read(self.desk.check({"source": source, "text": text, "pairs": pairs, "file": file}))

    @told
    def uploaded(self, request: gr.Request, method=None, **data):
        """The same for a new file; also selects a method that works on it."""
        examples = self.desk.check(data)
        raw = any(example.prompt is None for example in examples or ())
        return {**self._read(examples), **self._fitting("text" if raw else data["source"], method)}

    def _read(self, examples) -> dict:
        if examples is None:
            from data.reading import read_examples

            examples = read_examples(str(PROJECT / options.BUNDLED["forget"]), 1000)
        what = "row" if any(example.prompt is not None for example in examples) else "passage"
        notes = getattr(examples, "notes", None) or [f"{len(examples):,} {what}{'s' if len(examples) != 1 else ''}"]
        more = [f"the first {SHOWN_ROWS} are shown"] if len(examples) > SHOWN_ROWS else []
        return {
            self.notes: gr.update(value="; ".join([*notes, *more]), visible=True),
            self.preview: gr.update(value=first_rows(examples), visible=True),
        }

    @told
    def unlearn(self, request, **form):
        """Queues the run; the browser keeps its id."""
        return self.desk.unlearn(request, form).id


def first_rows(examples) -> list[list[str]]:
    """(number, context, answer to forget) of the first rows."""
    rows = []
    for number, example in enumerate(examples[:SHOWN_ROWS], 1):
        before, after = ([f"{role}: {text}" for role, text in turns] for turns in (example.history, example.between))
        context = "\n".join([*before, *([example.prompt] if example.prompt else []), *after])
        rows.append([str(number), context[:2000], example.answer[:2000]])
    return rows


def _field(name: str, option, default, visible: bool):
    common = {"label": name, "info": info(option, default), "visible": visible, "min_width": 220}
    if option.kind is bool or option.choices:
        values = ["true", "false"] if option.kind is bool else [str(choice) for choice in option.choices]
        return gr.Dropdown([("default", ""), *values], value="", **common)
    # Numbers are text too: an empty number field comes back as 0, which is not the default.
    return gr.Textbox(placeholder=default_text(default), max_length=1000, **common)


def default_text(value) -> str:
    """A default in the form that the command line takes."""
    if value in (None, ""):
        return ""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def info(option, default) -> str:
    """Help of a setting with its default."""
    text = default_text(default)
    return f"{option.help}{f' · default {text}' if text else ''}"
