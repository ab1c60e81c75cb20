"""The Evaluate tab: numbers of a run or measurement, attacks on a run's model, a measurement of any model."""

from __future__ import annotations

import evaluation_metrics
from models.store.folders import read_json_or_empty
from results.page import verdicts
from results.page.wiring import HIDDEN, MODELS, PRIVATE, Page, by_name, finished, gr, table, told
from results.report import words
from results.report.runs import RunError, read_run
from results.run import options


class Evaluate:
    """Measurements of a run or of any model."""

    TITLE = "Evaluate"

    def __init__(self, page: Page):
        self.page, self.desk = page, page.desk
        self.run = gr.Dropdown([], label="Run or measurement", allow_custom_value=True)
        page.keep_fresh(self.run, lambda runs: gr.update(choices=finished(runs, ("evaluation.json",))))
        with gr.Column(visible=False) as self.whole:
            self.card = gr.HTML("", container=False)
            self.numbers = verdicts.numbers_table()
            with gr.Accordion("Notes on these numbers", open=False):
                self.notes = gr.Textbox(label="Notes", interactive=False, lines=6)
            with gr.Accordion("Attacks: try to recover what was forgotten", open=True):
                attacks = _attack_choice("Attacks on this run's model")
                attack = gr.Button("Run the attacks", min_width=140)
        _meanings()
        shown = [self.card, self.numbers, self.notes, self.whole]
        self.run.change(self.result, self.run, shown, **PRIVATE)
        page.follow(attack.click(self.attack, [self.run, attacks], page.job, api_name="attack"))
        self._measure()

    def _measure(self):
        """The form of a measurement, its fields by the API's names."""
        with gr.Accordion("Measure any model", open=True):
            model = gr.Dropdown(MODELS, value=options.TARGET, allow_custom_value=True, label="Model to measure")
            with gr.Row(equal_height=False):
                target = gr.Textbox(label="Model before unlearning (optional)", max_length=1000)
                retrained = gr.Textbox(label="Model that never saw the data (optional)", max_length=1000)
            gr.Markdown("Without files, the tool uses its bundled data about invented people.", elem_classes="hint")
            labels = {"forget": "Forget set", "retain": "Retain set", "holdout": "Rows the model never saw"}
            with gr.Row(equal_height=False):
                files = {
                    name: gr.File(label=f"{label} (file)", type="filepath", height=150, min_width=200)
                    for name, label in labels.items()
                }
            attacks = _attack_choice("Attacks (optional, each takes a few minutes)")
            start = gr.Button("Measure", variant="primary")
        self.page.keep_fresh_models(model)
        form = {"model": model, "target_model": target, "retrained_model": retrained, **files, "attacks": attacks}
        measure = by_name(self.measure, form)
        self.page.follow(start.click(measure, inputs_kwargs=form, outputs=self.page.job, api_name="evaluate"))

    def wire(self):
        """Refreshes the lists when the tab opens."""
        self.page.refresh_on(self.page.panels["evaluate"].select)

    @told
    def result(self, request: gr.Request, name):
        """Verdict and numbers of a run or a measurement."""
        if not name:
            return {self.whole: gr.update(**HIDDEN)}
        _, folder, _ = self.desk.run(request, name)
        evaluation = read_json_or_empty(folder / "evaluation.json")
        if not evaluation:
            raise RunError(f"{name} has no evaluation.json yet")
        try:
            examples = read_run(folder).examples
        except RunError:  # a measurement has no settings of a method
            examples = []
        notes = [f"{key}: {text}" for key, text in (evaluation.get("notes") or {}).items()]
        return {
            self.card: verdicts.verdict_html(evaluation, examples),
            self.numbers: gr.update(value=verdicts.number_rows(evaluation)),
            self.notes: "\n".join(notes),
            self.whole: gr.update(visible=True),
        }

    @told
    def measure(self, request, **form):
        """Queues the measurement of a model."""
        return self.desk.evaluate(request, form).id

    @told
    def attack(self, request: gr.Request, name, attacks):
        """Queues attacks on a run's model."""
        return self.desk.attack(request, name, attacks).id


def _meanings():
    with gr.Accordion("What the numbers mean", open=False):
        rows = [
            [words.doc(name).label, metric.summary, metric.limits]
            for name, metric in evaluation_metrics.METRICS.items()
        ]
        headers = ["Metric", "What it shows", "What it does not show"]
        table(headers, "Metrics", value=rows, column_widths=["20%", "40%", "40%"])


def _attack_choice(label: str):
    known = evaluation_metrics.ATTACKS
    return gr.CheckboxGroup(
        [(known[name].plain or name, name) for name in evaluation_metrics.attack_names("all")], label=label
    )
