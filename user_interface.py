"""The web page: unlearn, follow the run, compare before and after, without a terminal.

    python user_interface.py                                      # http://127.0.0.1:7860, this machine only
    python user_interface.py --server_name 0.0.0.0 --auth ann:long-secret,bob:another-secret   # others too, by password

The page builds the command that a person would type, shows it, and runs it as a child process (`results.page.jobs`),
so closing the browser tab does not stop it. `results.page.desk` and `data.uploads` check every request on the server.
This file sets the order of tabs, the accounts and the launch.
"""

from __future__ import annotations

import argparse
import atexit
import os
import pkgutil
import shutil
import signal
import sys
import threading

from data import private
from models.store.folders import check_platform
from models.store.paths import PROJECT, RUNS
from results.after import commands as after
from results.page.desk import ADVANCED, NOT_ADVANCED, Desk
from results.page.jobs import AUTH_VARIABLE, JobQueue, QueueError
from results.page.server import logins
from results.page.server.guard import Guard, is_loopback
from results.page.wiring import Page, gr
from results.run import options

TABS = (  # file and class in results/page/tabs/, in the page's order; `results.page.wiring` says what a tab is
    "unlearn:Unlearn",
    "compare:Compare",
    "runs:Runs",
    "evaluate:Evaluate",
)
STYLE = PROJECT / "results" / "page" / "style.css"


def build(desk: Desk):
    """The page as Gradio Blocks."""
    with gr.Blocks(title="Make a language model forget", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
        gr.HTML(
            "<h1>Make a language model forget</h1>"
            "<p>Type what it should forget, press Unlearn, and follow the run.</p>",
            elem_classes="lead",
            container=False,
        )
        page = Page(desk, demo)
        pkgutil.resolve_name("results.page.api:Api")(page)
        with gr.Tabs() as page.shelf:
            for row in TABS:
                tab = pkgutil.resolve_name(f"results.page.tabs.{row}")
                name = tab.TITLE.lower()
                with gr.Tab(tab.TITLE, id=name) as page.panels[name]:
                    page.tabs[name] = tab(page)
        for tab in page.tabs.values():
            tab.wire()
    return demo


def theme():
    """Gradio's plain theme with system fonts and darker greys: the shipped ones are too faint to read."""
    return gr.themes.Base(
        primary_hue="teal",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size="md",
    ).set(
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )


# ---------------------------------------------------------------------------------------------------------------------
# The server


def accounts(text: str | None) -> list[tuple[str, str]]:
    """[(user, password)] of "user:password,user:password"; raises QueueError for anything else."""
    found = [tuple(entry.split(":", 1)) for entry in (text or "").split(",") if entry]
    if any(len(entry) != 2 or not entry[0].strip() or len(entry[1]) < 8 for entry in found):
        raise QueueError("--auth: give user:password, several separated by commas; a password has 8 characters or more")
    if len({user for user, _ in found}) < len(found):
        raise QueueError("--auth: a user appears twice")
    return found


def prepare_environment() -> None:
    """Runs before Gradio is imported: no telemetry, and a private upload folder that is deleted with the server."""
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
    for variable in ("NO_PROXY", "no_proxy"):  # Gradio calls its own server, never through a proxy
        local = "localhost,127.0.0.1,::1"
        os.environ[variable] = f"{os.environ[variable]},{local}" if os.environ.get(variable) else local
    if not os.environ.get("GRADIO_TEMP_DIR"):
        folder = private.temporary_folder("unlearning-page-")
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def launch(
    desk: Desk, server_name: str = "127.0.0.1", server_port: int | None = None, wait: bool = True, allowed_hosts=()
):
    """Serves the page; returns (app, local address, None). Raises OSError when the port is taken.

    allowed_hosts: further names under which browsers reach the page, such as a reverse proxy's.
    """
    from starlette.middleware import Middleware

    guard = Middleware(Guard, local=is_loopback(server_name), allowed=frozenset(map(str.lower, allowed_hosts)))
    demo = build(desk).queue(default_concurrency_limit=8)
    return demo.launch(
        server_name=server_name,
        server_port=server_port,
        auth=logins.LogIns(desk.accounts).check if desk.accounts else None,
        share=False,
        prevent_thread_lock=not wait,
        quiet=True,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        max_file_size="50mb",
        ssr_mode=False,
        _frontend=False,  # no self-test by HTTP: on a busy machine it fails, and Gradio then suggests a public link
        theme=theme(),
        head=f"<style>{STYLE.read_text(encoding='utf-8')}</style>",  # css= rewrites selectors, loses the media query
        app_kwargs={"openapi_url": None, "docs_url": None, "redoc_url": None, "middleware": [guard]},
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--server_name", default="127.0.0.1", help="address to listen on [127.0.0.1: this machine only]"
    )
    parser.add_argument("--server_port", type=int, default=7860, help="port [7860]")
    parser.add_argument(
        "--auth",
        help=f"user:password, several separated by commas (or in {AUTH_VARIABLE}; once the page has started, other "
        "processes cannot read them); required for an address that other machines can reach. Each user sees only their "
        "own runs; the first user also sees runs from a terminal",
    )
    parser.add_argument(
        "--allowed_host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name under which browsers reach the page, such as a reverse proxy's; may be repeated",
    )
    parser.add_argument(
        "--allowed_path",
        action="append",
        default=[],
        metavar="DIR",
        help="another folder that models and data may come from; may be repeated",
    )
    parser.add_argument(
        "--method_from", metavar="FILE.py:NAME", help="offer a method of your own, as the runner's flag does"
    )
    return parser


def main(argv=None) -> int:
    """Serves until interrupted; returns the exit code."""
    given = _parser().parse_args(argv)
    if argv is None:
        logins.restart_without(given.auth, AUTH_VARIABLE)
    with private.created():  # uploads, jobs and logs hold what people want forgotten
        return _serve(given)


def _serve(given: argparse.Namespace) -> int:
    try:
        check_platform()
        secret = logins.taken(AUTH_VARIABLE)
        known = accounts(given.auth or secret)
        if not is_loopback(given.server_name) and not known:
            raise QueueError(
                f"--server_name {given.server_name} is reachable from other machines: add --auth user:password (or "
                f"set {AUTH_VARIABLE}), or leave out --server_name"
            )
        if given.method_from:
            options.use_own({"method_from": given.method_from})
            ADVANCED.update({name: options.OPTIONS[name] for name in options.OPTIONS if name not in NOT_ADVANCED})
        prepare_environment()
        queue = JobQueue(RUNS, PROJECT).start()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    desk = Desk(queue, roots=given.allowed_path, accounts=known)
    after.go_on()
    try:
        _, address, _ = launch(desk, given.server_name, given.server_port, False, given.allowed_host)
        print(f"{address}\nStop with Ctrl+C. A running job continues, and the next start finds it again.", flush=True)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()
    except OSError as error:
        print(f"error: port {given.server_port}: {error}; choose another with --server_port", file=sys.stderr)
        return 2
    finally:
        queue.close()
        desk.asker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
