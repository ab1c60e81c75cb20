"""The page's tabs beside the first: Compare, Runs and Evaluate; each returns the components that others refer to."""

from __future__ import annotations

import evaluation_metrics
from results.page import requests, watching
from results.page.events import Page
from results.page.showing import EXAMPLE_HEADERS, MODELS, NUMBER_HEADERS, SPLIT_NAMES, gr
from results.report import words
from results.run import options

LISTED = 5.0  # seconds between looks at all runs, while they are shown


def compare_tab(page: Page) -> dict:
    """A run's result, the verdict first, then answers before and after side by side."""
    run = gr.Dropdown([], label="Finished run", allow_custom_value=True)
    with gr.Column(visible=False) as whole:
        card = gr.HTML("", container=False)
        with gr.Group():
            question = gr.Textbox(label="Ask both models", lines=2, max_length=4000, placeholder="Type a question")
            expected = gr.Textbox(label="True answer (optional, to see how likely each finds it)", max_length=4000)
        ask = gr.Button("Ask both", variant="primary")
        with gr.Row():
            before = gr.Textbox(label="Before", interactive=False, lines=2, min_width=240)
            after = gr.Textbox(label="After", interactive=False, lines=2, min_width=240)
        chances = gr.Dataframe(
            headers=["Answer", "Said by", "How likely before", "How likely after"],
            datatype="str",
            wrap=True,
            interactive=False,
            visible=False,
            label="How likely each model finds each answer (mean per word piece)",
            elem_classes="wide",
            column_widths=["40%", "20%", "20%", "20%"],
        )
        splits = [(label, key) for key, label in SPLIT_NAMES.items()]
        split = gr.Radio(splits, value="forget", label="Their answers to")
        examples = gr.Dataframe(
            headers=EXAMPLE_HEADERS,
            datatype="str",
            interactive=False,
            wrap=True,
            max_height=520,
            label="Answers before and after",
            show_search="search",
            column_widths=["20%", "22%", "22%", "20%", "8%", "8%"],
            elem_classes="wide",
        )
        with gr.Accordion("Downloads", open=True):
            report = gr.File(label="Report (opens in any browser)", visible=False, interactive=False)
            zip_button = gr.Button("Prepare the model as a zip", size="md", visible=False)
            archive = gr.File(label="Model", visible=False, interactive=False)
        with gr.Accordion("Figures", open=False):
            figures = gr.Gallery(
                label="Figures (their numbers are in the table below)",
                elem_classes="figures",
                columns=2,
                object_fit="contain",
                height="auto",
                interactive=False,
                buttons=["download", "fullscreen"],
            )
        with gr.Accordion("All numbers", open=False):
            numbers = _numbers_table()
    shown = [card, examples, numbers, figures, report, zip_button, archive, whole]
    run.change(page.result, [run, split], shown, api_name="result")
    split.change(page.examples, [run, split], examples, api_visibility="private")
    gr.on(
        [ask.click, question.submit],
        page.ask,
        [run, question, expected],
        [before, after, chances],
        api_name="ask",
        concurrency_limit=2,
    )
    zip_button.click(page.zip_model, run, archive, api_name="download_model", concurrency_limit=1)
    return {"run": run}


def _numbers_table():
    return gr.Dataframe(
        headers=NUMBER_HEADERS,
        datatype="str",
        interactive=False,
        wrap=True,
        max_height=520,
        label="Metrics per set, 95 % interval in brackets",
        elem_classes="wide",
        show_search="search",
    )


def runs_tab(page: Page) -> dict:
    table = gr.Dataframe(
        headers=watching.RUN_HEADERS,
        datatype="str",
        interactive=False,
        wrap=True,
        max_height=480,
        label="All runs, newest first; press a row to choose it",
        show_search="search",
        column_widths=["11%", "24%", "13%", "18%", "11%", "10%", "13%"],
        elem_classes="wide",
    )
    chosen = gr.Dropdown([], multiselect=True, label="Chosen runs", allow_custom_value=True)
    with gr.Row():
        opened = gr.Button("Open", size="md", variant="primary", min_width=110)
        again = gr.Button("Resume", size="md", min_width=110)
        compare = gr.Button("Compare", size="md", min_width=110)
        delete = gr.Button("Delete …", variant="stop", size="md", min_width=110)
        refresh = gr.Button("Refresh", size="md", min_width=110)
    with gr.Column(visible=False) as confirm:
        listed = gr.Textbox(label="To be deleted", interactive=False, lines=3)
        with gr.Row():
            sure = gr.Button("Delete for good", variant="stop", min_width=140)
            keep = gr.Button("Keep", min_width=140)
    deleted = gr.Textbox(label="Last action", interactive=False, visible=False)
    figures = gr.Gallery(
        label="Comparison",
        columns=2,
        object_fit="contain",
        height="auto",
        visible=False,
        interactive=False,
        elem_classes="figures",
    )
    report = gr.File(label="Report of the comparison", visible=False, interactive=False, file_count="multiple")
    with gr.Accordion("Requests carried out (the ledger)", open=False):
        chain = gr.Textbox(label="Is the record whole?", interactive=False, lines=2)
        recorded = gr.Dataframe(
            headers=requests.REQUEST_HEADERS,
            datatype="str",
            interactive=False,
            wrap=True,
            max_height=360,
            label="Every request: when, by which run, with what result; never what it was about",
            elem_classes="wide",
        )
        retest = gr.Button("Test all earlier requests again", min_width=200)
        gr.Markdown(
            "Asks the newest model about everything it was ever made to forget, and says what came back.",
            elem_classes="hint",
        )
    table.select(page.pick, chosen, chosen, api_visibility="private", queue=False, show_progress="hidden")
    compare.click(page.compare, chosen, [figures, report], api_name="compare_runs", concurrency_limit=1)
    delete.click(page.ask_delete, chosen, [confirm, listed], api_visibility="private")
    keep.click(lambda: gr.update(visible=False), None, confirm, api_visibility="private")
    sure.click(page.delete, chosen, [confirm, chosen, deleted], api_name="delete")
    return {
        "table": table,
        "chosen": chosen,
        "open": opened,
        "again": again,
        "refresh": refresh,
        "deleted": deleted,
        "ledger": [recorded, chain, retest],
        "retest": retest,
        "timer": gr.Timer(LISTED, active=False),
    }


def evaluate_tab(page: Page) -> dict:
    run = gr.Dropdown([], label="Run or measurement", allow_custom_value=True)
    with gr.Column(visible=False) as whole:
        card = gr.HTML("", container=False)
        numbers = _numbers_table()
        with gr.Accordion("Notes on these numbers", open=False):
            notes = gr.Textbox(label="Notes", interactive=False, lines=6)
        with gr.Accordion("Try to bring the forgotten back (attacks)", open=True):
            tries = _attack_choice("Attacks on the model this run made")
            attack = gr.Button("Attack it", min_width=140)
    with gr.Accordion("What the numbers mean", open=False):
        meaning = [
            [words.doc(name).label, metric.summary, metric.limits]
            for name, metric in evaluation_metrics.METRICS.items()
        ]
        gr.Dataframe(
            meaning,
            headers=["Metric", "What it shows", "What it does not show"],
            datatype="str",
            wrap=True,
            interactive=False,
            label="Metrics",
            elem_classes="wide",
            column_widths=["20%", "40%", "40%"],
        )
    with gr.Accordion("Measure any model", open=True):
        model = gr.Dropdown(MODELS, value=options.TARGET, allow_custom_value=True, label="Model to measure")
        with gr.Row(equal_height=False):
            target = gr.Textbox(label="Model before unlearning (optional)", max_length=1000)
            retrained = gr.Textbox(label="Model that never saw the data (optional)", max_length=1000)
        gr.Markdown("Without files, the invented people that come with this tool are used.", elem_classes="hint")
        with gr.Row(equal_height=False):
            files = [
                gr.File(label=label, type="filepath", height=130, min_width=200)
                for label in (
                    "File of what was to be forgotten",
                    "File of what was to be kept",
                    "File of rows it never saw",
                )
            ]
        more = _attack_choice("Attacks (optional; each takes some minutes)")
        start = gr.Button("Measure", variant="primary")
    run.change(page.numbers, run, [card, numbers, notes, whole], api_name="numbers")
    return {
        "run": run,
        "start": start,
        "model": model,
        "form": [model, target, retrained, *files, more],
        "attack": attack,
        "attacks": tries,
    }


def _attack_choice(label: str):
    choices = [
        (evaluation_metrics.ATTACKS[name].plain or name, name) for name in evaluation_metrics.attack_names("all")
    ]
    return gr.CheckboxGroup(choices, label=label)
