"""The rows of a request before anything is trained: a table to look at and change, and the button that goes on."""

from __future__ import annotations

from data.uploads import InputError
from results.page import forgetting
from results.page.wiring import Page, gr

SAID = (
    "**Nothing has been trained yet.** Clear the tick of what should stay, correct what is wrong, and add what is "
    "missing in a new row. Then press Unlearn."
)
REST = "Forget the rows that are not listed here too"
ASKED = 60  # questions that are listed


class Looking:
    """The list of the request that the job in `page.job` prepared. `key`: the job's id, or "" without a list."""

    def __init__(self, page: Page):
        self.page, self.desk = page, page.desk
        with gr.Column(visible=False, elem_id="looking") as self.whole:
            self.found = gr.Textbox(label="What was found", interactive=False, lines=1, max_lines=12)
            with gr.Column() as self.editing:
                gr.Markdown(SAID, elem_classes="hint")
                self.rows = gr.Dataframe(
                    headers=forgetting.HEADERS,
                    datatype=["number", "bool", "str", "str", "str"],
                    type="array",
                    column_count=5,
                    interactive=True,
                    static_columns=[0, 4],
                    wrap=True,
                    max_height=520,
                    column_widths=["66px", "104px", "23%", "29%", "20%"],
                    label="Rows to forget: with a tick they are forgotten",
                    elem_classes="wide",
                )
                self.rest = gr.Checkbox(False, visible=False, label=REST, elem_id="unlisted")
                self.start = gr.Button("Unlearn these rows", variant="primary", size="lg")
            self.asked = gr.Textbox(label="What the model was asked", interactive=False, max_lines=8, visible=False)
        self.ids, self.key = gr.State([]), gr.State("")
        # set by the live view itself: a State that a timer sets tells no listener of its change
        self.outputs = [self.key, self.whole, self.found, self.editing, self.rows, self.rest, self.asked]
        self.outputs.append(self.ids)

    def shown(self, request: gr.Request, key):
        """The list of a prepared request; hidden without one. A list that cannot be read is told in its place."""
        if not key:
            return {self.key: "", self.whole: gr.update(visible=False), self.ids: []}
        try:
            preview = forgetting.preview_of(self.desk, request, key)
        except ValueError as error:
            hidden = {part: gr.update(visible=False) for part in (self.editing, self.asked)}
            return {self.key: key, self.whole: gr.update(visible=True), self.found: str(error), self.ids: [], **hidden}
        rows, ids = forgetting.table_of(preview), forgetting.ids_of(preview)
        more = forgetting.unlisted(self.desk, request, key, ids)
        notes = [*preview.notes, *([f"{more}: confirm it below the list"] if more else [])]
        asked = preview.questions[:ASKED]
        return {
            self.key: key,
            self.whole: gr.update(visible=True),
            self.found: "\n".join([preview.sentence(), *notes]),
            self.editing: gr.update(visible=bool(preview.rows) or not preview.nothing_known),
            self.rows: gr.update(value=rows),
            self.asked: gr.update(value="\n".join(asked), visible=bool(asked)),
            self.rest: gr.update(value=False, visible=bool(more), label=more or REST),
            self.ids: ids,
        }

    def choices(self, request, key, table, ids, rest=False) -> list[dict]:
        """What a person changed in the list. `rest`: whether the rows beyond it are forgotten unseen."""
        if not isinstance(table, list) or not isinstance(ids, list):
            raise InputError("there is no list of rows: press Look for it")
        if rest is not True and (more := forgetting.unlisted(self.desk, request, key, ids)):
            raise InputError(f"{more}: tick that below the list, or edit the files")
        return forgetting.choices_of(table, ids, forgetting.preview_of(self.desk, request, key))
