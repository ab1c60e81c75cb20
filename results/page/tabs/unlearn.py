"""The Unlearn tab: what to forget, which model and how, beside the live view of the job and the list of its rows."""

from __future__ import annotations

import shlex
from typing import Any

import unlearning_algorithm as algorithm
from data.uploads import InputError
from results.page import forgetting
from results.page.desk import ADVANCED, UNTYPED
from results.page.live import Live
from results.page.methods import family_choices, family_of, fits, method_choices, method_text, recommended
from results.page.tabs.field import AS_DATA, Field, chosen_or_usual, current
from results.page.wiring import MODELS, PRIVATE, QUIET, Page, by_name, command_line, gr, moving_choice, told
from results.run import options

BUDGETS = [("Little (up to 5 %)", "little"), ("Some (up to 20 %)", "some"), ("Up to half", "half")]
BUDGET_INFO = (
    "Of what the model knows besides. Checked five or ten times during training, or at the end if the method wins back "
    "what it loses: a run that loses more stops and, with little or some, goes back to its best state within the limit."
)
AUTO_BUDGET = "A trial that loses more is rejected. If all lose more, the search takes the one that keeps most."
NO_BUDGET = "This method cannot stop at a limit. The loss is measured at the end."
TIMES = [("10 minutes", "10m"), ("30 minutes", "30m"), ("1 hour", "1h"), ("3 hours", "3h")]
GROUPS = {"training": "Training", "method": "Method settings", "model": "Model", "data": "Data", "run": "Run"}


class Unlearn:
    """The form of a run. `form`: its fields by the names that the API and the desk use."""

    TITLE = "Unlearn"

    def __init__(self, page: Page):
        self.page, self.desk = page, page.desk
        with gr.Row(equal_height=False, elem_id="desk-row"):
            with gr.Column(scale=6, min_width=320):
                self.field = Field(page)
                with gr.Row(equal_height=True):
                    self.start = gr.Button(
                        "Unlearn", variant="primary", elem_id="unlearn-button", scale=3, min_width=140
                    )
                    self.look = gr.Button("Look for it", elem_id="look-button", scale=2, min_width=120)
                self.unseen = gr.Checkbox(False, label="Start at once: I do not need to look at the rows first")
                self.field.more()
                self._how()
                self._what_to_keep()
                self._advanced()
                letters = "Letters, digits, '.', '-' and '_'."
                self.name = gr.Textbox(label="Run name (optional)", max_length=80, info=letters)
                command = f"python unlearning_script.py --forget_about='{UNTYPED}' --yes"
                self.command = command_line("The command that will run", "command", command)
            with gr.Column(scale=7, min_width=320, elem_id="live"):
                self.live = Live(page)
        files = {"retain": self.retain, "holdout": self.holdout}
        how = {"model": self.model, "method": self.method, "name": self.name}
        limits = {"utility_budget": self.budget, "time_budget": self.time, "earlier": self.earlier}
        self.form = {**self.field.data, **files, **how, **limits, **self.advanced}
        self._events()

    def wire(self):
        """Links the live view to other tabs."""
        self.live.wire()

    # -- components

    def _how(self):
        chosen = recommended("pairs")
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
                choices = method_choices(family, "pairs")
                self.method = moving_choice(choices, value=chosen, label="Method", min_width=160)
            self.about = gr.Markdown(method_text(chosen, "pairs"), elem_classes=["hint", "about"])
            label = "How much other knowledge may it lose? (utility budget)"
            self.budget = gr.Radio(BUDGETS, value="little", label=label, info=BUDGET_INFO)
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
                "Add text or questions of the same kind that should stay. Without a file, the model's own answers to "
                "everyday questions are kept. Similar rows that the model never saw show what 'forgotten' looks "
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
        field, kind = self.field, [self.family, self.method]
        field.wire(self.method, self.retain, kind, self.fitting)
        gr.on(
            [field.files.upload, field.training.upload],
            self.uploaded,
            inputs_kwargs={**field.data, "method": self.method, "retain": self.retain, "before": field.before},
            outputs=kind,
            **PRIVATE,
        )
        self.family.input(self.family_chosen, [self.family, field.before], self.method, **QUIET)
        outputs = [self.about, self.budget, self.time, *self.advanced.values()]
        self.method.change(self.method_chosen, [self.method, field.before, self.budget], outputs, **QUIET)
        gr.on(
            [field.change for field in self.form.values()],
            by_name(self.shown_command, self.form),
            inputs_kwargs=self.form,
            outputs=self.command,
            **QUIET,
            trigger_mode="always_last",
        )
        live, looking = self.live, self.live.looking
        whole = {**self.form, "key": self.page.job, "rows": looking.rows, "ids": looking.ids, "rest": looking.rest}
        whole |= {"unseen": self.unseen, "before": field.before}
        clicks = ((self.start, self.unlearn), (self.look, self.looked), (looking.start, self.go_on))
        for button, function in clicks:
            started = button.click(
                by_name(function, whole),
                inputs_kwargs=whole,
                outputs=self.page.job,
                concurrency_limit=8,
                **PRIVATE,
            )
            live.start(started)
            if button is not self.look:
                field.drop_draft(started)

    def fitting(self, source, method) -> dict:
        """Updates of approach and method for a kind of data: the method is kept if it works on it."""
        if method not in (*algorithm.METHODS, options.AUTO) or not fits(method, source):
            method = recommended(source)
        family = family_of(method)
        choices = method_choices(family, source)
        return {self.family: gr.update(value=family), self.method: gr.update(choices=choices, value=method)}

    def family_chosen(self, family, source):
        """The methods of an approach, its default selected."""
        choices = method_choices(family, AS_DATA.get(source, "pairs"))
        return gr.update(choices=choices, value=choices[0][1] if choices else None)

    def method_chosen(self, name, source, share):
        """What the method does, its utility budget, and its defaults as hints in the advanced settings."""
        known = algorithm.hyper_parameters(name, 0) if name in algorithm.METHODS else {}
        updates = {self.about: method_text(name, AS_DATA.get(source, ""))}
        for key, option in ADVANCED.items():
            default = known.get(key, option.default)
            hint = {} if option.kind is bool or option.choices else {"placeholder": default_text(default)}
            visible = option.group != "method" or key in known
            updates[self.advanced[key]] = gr.update(visible=visible, info=info(option, default), **hint)
        searches = name == options.AUTO
        held = searches or (name in algorithm.METHODS and algorithm.METHODS[name].guarded)
        budget = {"info": AUTO_BUDGET if searches else BUDGET_INFO, "value": share or "little"}
        budget = budget if held else {"info": NO_BUDGET, "value": None}
        updates[self.budget] = gr.update(interactive=held, **budget)
        updates[self.time] = gr.update(visible=searches)
        return updates

    def shown_command(self, request, **form):
        """The command for the current form, or why there is none."""
        try:
            return shlex.join(self.desk.command(request, _shown(form)))
        except ValueError as error:
            if not hasattr(error, "exit_code"):
                raise
            return "\n".join(f"# {line}" for line in str(error).splitlines())

    @told
    def uploaded(self, request: gr.Request, method=None, retain=None, before="", **data):
        """Checks new files, and selects a method that works on them."""
        if forgetting.taken(data).kind == "unusable":
            return {self.method: gr.skip()}
        form = {"source": "name", "about": ["-"], **data} if data.get("training_data") else {"source": "file", **data}
        raw = any(example.prompt is None for example in self.desk.check(form))
        source = "name" if data.get("training_data") else "file"
        return self.fitting("text" if raw else "pairs", chosen_or_usual(source, retain, before, method))

    @told
    def unlearn(self, request, key=None, rows=None, ids=None, rest=False, unseen=False, **form):
        """Queues the run, or first shows its rows; the browser keeps the job's id."""
        form = current(form)
        if form["source"] not in forgetting.LOOKED_AT or unseen is True:
            return self.desk.unlearn(request, form).id
        if forgetting.matches(self.desk, request, form, key):
            return self._go_on(request, key, (rows, ids, rest), form)
        return self._looked(request, key, form)

    @told
    def looked(self, request, key=None, rows=None, ids=None, rest=False, unseen=False, **form):
        """Looks for the rows of a request, and trains nothing."""
        return self._looked(request, key, current(form))

    @told
    def go_on(self, request, key=None, rows=None, ids=None, rest=False, unseen=False, before="", **form):
        """Runs the request whose rows are listed, whatever the field says by now."""
        return self._go_on(request, key, (rows, ids, rest), form)

    def _looked(self, request, key, form) -> str:
        job = self.desk.job(request, key)
        if job and not job.over and job.details.get("asked") == forgetting.fingerprint(form):
            raise InputError("it is being looked for already: wait for the list, or press Stop")
        return forgetting.prepare(self.desk, request, form).id

    def _go_on(self, request, key, listed, form) -> str:
        choices = self.live.looking.choices(request, key, *listed)
        return forgetting.start(self.desk, request, form, key, choices).id


def _shown(form: dict) -> dict:
    """The form for its command; an empty one stands for a text that is still to be typed."""
    nothing = forgetting.taken(form).kind == "nothing" and form.get("example") is not True
    pairs = any(str(cell or "").strip() for row in form.get("pairs") or () for cell in row)
    return {**form, "source": "name", "about": []} if nothing and not pairs else forgetting.asked(form)


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
