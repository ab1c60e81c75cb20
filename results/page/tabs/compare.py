"""The Compare tab: the verdict of a run, its answers before and after, questions to both models, downloads."""

from __future__ import annotations

from models.store.folders import read_json_or_empty
from results.page import verdicts, watching
from results.page.desk import MAX_QUESTION
from results.page.server.files import folder_bytes, megabytes, offer
from results.page.verdicts import SPLIT_NAMES, chance
from results.page.wiring import HIDDEN, PRIVATE, QUIET, Page, figures, finished, gallery, gr, table, told
from results.report.runs import read_run

SHOWN_EXAMPLES = 500


class Compare:
    """One finished run."""

    TITLE = "Compare"

    def __init__(self, page: Page):
        self.page, self.desk = page, page.desk
        self.run = gr.Dropdown([], label="Finished run", allow_custom_value=True)
        page.keep_fresh(self.run, lambda runs: gr.update(choices=finished(runs)))
        with gr.Column(visible=False) as self.whole:
            self.card = gr.HTML("", container=False)
            self._questions()
            self._answers()
            with gr.Accordion("Downloads", open=True):
                self.report = gr.File(label="Report (opens in any browser)", visible=False, interactive=False)
                self.zip = gr.Button("Prepare the model as a zip", size="md", visible=False)
                self.archive = gr.File(label="Model", visible=False, interactive=False)
            with gr.Accordion("Figures", open=False):
                label = "Figures (the table below has their numbers)"
                self.figures = figures(label, buttons=["download", "fullscreen"])
            with gr.Accordion("All numbers", open=False):
                self.numbers = verdicts.numbers_table()
        shown = [self.card, self.examples, self.numbers, self.figures, self.report, self.zip, self.archive, self.whole]
        self.run.change(self.result, [self.run, self.split], shown, **PRIVATE)
        self.split.change(self.answers, [self.run, self.split], self.examples, **PRIVATE)
        self.zip.click(self.zip_model, self.run, self.archive, concurrency_limit=1, **PRIVATE)

    def _questions(self):
        with gr.Group():
            question = gr.Textbox(
                label="Ask both models", lines=2, max_length=MAX_QUESTION, placeholder="Type a question"
            )
            expected = gr.Textbox(
                label="True answer (optional, shows how likely each model finds it)", max_length=MAX_QUESTION
            )
        ask = gr.Button("Ask both", variant="primary")
        with gr.Row():
            self.before, self.after = (
                gr.Textbox(label=label, interactive=False, lines=2, min_width=240) for label in ("Before", "After")
            )
        self.chances = table(
            ["Answer", "Given by", "How likely before", "How likely after"],
            "How likely each model finds each answer (mean per token)",
            visible=False,
            column_widths=["40%", "20%", "20%", "20%"],
        )
        gr.on(
            [ask.click, question.submit],
            self.ask,
            [self.run, question, expected],
            [self.before, self.after, self.chances],
            concurrency_limit=2,
            **PRIVATE,
        )

    def _answers(self):
        splits = [(label, key) for key, label in SPLIT_NAMES.items()]
        self.split = gr.Radio(splits, value="forget", label="Show answers to")
        self.examples = table(
            ["Question", "Before", "After", "True answer", "How likely before", "How likely after"],
            "Answers before and after",
            max_height=520,
            show_search="search",
            column_widths=["20%", "22%", "22%", "20%", "8%", "8%"],
        )

    def wire(self):
        """Selects the newest run when the tab opens and none is selected."""
        self.page.panels["compare"].select(self.newest, self.run, self.run, queue=False, **QUIET)

    def newest(self, request: gr.Request, name):
        """The newest finished run, if none is selected yet."""
        found = [] if name else finished(self.desk.runs(request))
        return found[0] if found else gr.skip()

    @told
    def result(self, request: gr.Request, name, split):
        """Everything about a finished run."""
        if not name:
            return {self.whole: gr.update(**HIDDEN)}
        _, folder, job = self.desk.run(request, name)
        run, model = read_run(folder), self.desk.model_of(folder, job)
        report, evaluation = folder / "report.html", read_json_or_empty(folder / "evaluation.json")
        size = f" ({megabytes(folder_bytes(model))})" if model else ""
        return {
            self.card: verdicts.verdict_html(evaluation, run.examples),
            self.examples: examples_table(run, split),
            self.numbers: gr.update(value=verdicts.number_rows(evaluation)),
            self.figures: gallery(folder / "figures"),
            self.report: gr.update(value=offer(report) if report.is_file() else None, visible=report.is_file()),
            self.zip: gr.update(value=f"Prepare the model as a zip{size}", visible=model is not None),
            self.archive: gr.update(value=None, visible=False),
            self.whole: gr.update(visible=True),
        }

    @told
    def answers(self, request: gr.Request, name, split):
        """Answers on another set, before and after."""
        return examples_table(read_run(self.desk.run(request, name)[1]), split) if name else gr.skip()

    @told
    def zip_model(self, request: gr.Request, name):
        """The unlearned model as a zip file."""
        return gr.update(value=self.desk.zip_model(request, name), visible=True)

    @told
    def ask(self, request: gr.Request, name, question, expected):
        """Both models' answers, and the probability of each answer under each model."""
        reply = self.desk.ask(request, name, question, expected)
        said = zip(reply["answers"], ("before", "after"), reply["probabilities"])
        rows = [[text, who, *map(chance, row)] for text, who, row in said]
        if str(expected or "").strip():
            rows.append([str(expected).strip(), "true answer", *map(chance, reply["expected"])])
        return *reply["answers"], gr.update(value=rows, visible=True)


def examples_table(run, split: str):
    """Update of the table of answers: examples.jsonl of one set, both models side by side."""
    rows = []
    for row in [row for row in run.examples if row["split"] == split][:SHOWN_EXAMPLES]:
        chances = [(row.get(f"metrics_{when}") or {}).get("answer_probability") for when in ("before", "after")]
        texts = [row.get("prompt") or watching.NO_QUESTION, row.get("before"), row.get("after"), row.get("gold")]
        rows.append(["" if text is None else str(text) for text in texts] + [chance(value) for value in chances])
    return gr.update(value=rows, label="Answers before and after" if rows else "No answers were saved for this set")
