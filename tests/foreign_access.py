"""What a stranger, a page of another server and another account try on a page with accounts, over HTTP.

for what, refused in attempts(address, desk, {"bob": run_of_ann}, {"bob": places_of_ann}): ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import httpx
from page_room import client_of

PASSWORDS = {"ann": "password-a", "bob": "password-b"}
FOREIGN = (
    {"Host": "evil.example"},
    {"Host": "evil.example:7860"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
)
MORE_ROUTES = (
    *(("POST", f"gradio_api/{name}") for name in ("queue/join", "upload", "cancel", "reset", "component_server")),
    *(("GET", name) for name in ("", "config", "gradio_api/info", "gradio_api/queue/data", "login", "theme.css")),
)


def routes(names) -> list[tuple[str, str]]:
    """(kind, path) of everything that the server answers, with the endpoints of these names in three ways."""
    calls = [("POST", f"gradio_api/{way}{name}") for way, name in product(("call", "run", "api"), names)]
    return [*calls, *MORE_ROUTES]


def from_elsewhere(address: str, names) -> Iterator[tuple[str, bool]]:
    """(what, whether it was refused) of every route, called under a foreign name and from a foreign page."""
    with httpx.Client(base_url=address) as client:
        for (kind, path), headers in product(routes(names), FOREIGN):
            told = client.request(kind, path, headers=headers, json={"data": []})
            yield f"{path} {headers}", told.status_code == 403 and "access-control-allow-origin" not in told.headers


def without_password(address: str, names) -> Iterator[tuple[str, bool]]:
    """The same of every endpoint, called without a log-in."""
    with httpx.Client(base_url=address) as client:
        for way, name in product(("call", "run", "api"), names):
            told = client.post(f"gradio_api/{way}{name}", json={"data": []})
            yield f"{way}{name} without a log-in", told.status_code == 401


def raw(address: str, cookies, endpoint: str, *data) -> str:
    """What the server says to a call without the client, which would send a file that it can read as an upload."""
    with httpx.Client(base_url=address, cookies=cookies) as plain:
        told = plain.post(f"gradio_api/call{endpoint}", json={"data": data})
        if told.status_code != 200:
            return told.text
        return plain.get(f"gradio_api/call{endpoint}/{told.json()['event_id']}").text


def between_accounts(address: str, user: str, run: tuple[str, str], paths) -> Iterator[tuple[str, bool]]:
    """The same of every endpoint and path field, called by an account for another's run (key, name) and places."""
    client = client_of(address, auth=(user, PASSWORDS[user]))

    def refused(endpoint: str, **given) -> tuple[str, bool]:
        try:
            answer = client.predict(**given, api_name=endpoint)
        except Exception as error:  # of a dozen types
            failed = re.search(r"timed out|\b(500|404)\b", str(error))  # a run's key may hold these digits
            return f"{user}: {endpoint} {given}", not failed
        return f"{user}: {endpoint} {given} answered {answer!r}"[:300], False

    def refused_raw(endpoint: str, *data) -> tuple[str, bool]:
        told = raw(address, client.cookies, endpoint, *data)
        return f"{user}: {endpoint} {data}: {told}"[:500], "event: complete" not in told

    runs = ("watch", "stop", "resume", "download_model", "download_report")
    for key in run:
        yield from (refused(f"/{name}", run=key) for name in runs)
        yield refused("/ask", run=key, question="Who?")
        yield refused("/delete", runs=[key])
        yield refused("/compare_runs", names=[key, key])
        yield refused("/attack", name=key, attacks=["sampling"])
    for path in paths:
        upload = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for request in ({"files": [path]}, {"name": "Ada Example", "training_data": [path]}):
            yield refused("/unlearn", request=request)
        yield refused_raw("/unlearn", {"files": [upload]})
        yield refused_raw("/unlearn", {"name": "Ada Example", "training_data": [upload]})
        yield refused("/unlearn", request="Ada Example", model=path)
        for setting in ("retain_data", "holdout_data", "general_data", "retrained_model"):
            yield refused("/unlearn", request="Ada Example", method="npo", settings={setting: path})
        for field in ("model", "target_model", "retrained_model"):
            yield refused("/evaluate", **{"model": "org/name", field: path})
        yield refused_raw("/evaluate", "org/name", None, None, upload, upload, None, [])
        with httpx.Client(base_url=address, cookies=client.cookies) as plain:
            yield f"{user}: file={path}", plain.get(f"gradio_api/file={path}").status_code in (403, 404)


def attempts(address: str, desk, run_of: dict, paths: dict) -> Iterator[tuple[str, bool]]:
    """All of them. run_of, paths: {user: what belongs to others: (key, name) of a run, places}."""
    names = list(client_of(address, auth=("bob", PASSWORDS["bob"])).view_api(return_format="dict")["named_endpoints"])
    before = len(desk.queue.jobs())
    yield from from_elsewhere(address, names)
    yield from without_password(address, names)
    for user, run in run_of.items():
        yield from between_accounts(address, user, run, paths[user])
    yield "no job was queued", len(desk.queue.jobs()) == before
