"""The page against a stranger: foreign names and pages, others' places, stuck jobs, guessed passwords, full queues."""

import pytest
from page_room import client_of

from results.page.server.guard import refusal

# -- names and pages


LOCAL = ["localhost:7860", "LOCALHOST:7860", "localhost", "127.0.0.1:7860", "127.9.9.9", "[::1]:7860", "localhost.:80"]
FOREIGN = ["evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example:7860", "192.168.1.7",
           "", "a@127.0.0.1@evil.example", "[::1", "0.0.0.0:7860", "localhost:port"]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN)
def test_a_local_server_answers_to_its_own_names_only(host):
    assert refusal(host, None, local=True)
    assert refusal(host, f"http://{host}", local=True)
    assert all(refusal(own, None, local=True) is None for own in LOCAL)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize(
    ("host", "origin", "fine"),
    [
        ("127.0.0.1:7860", "http://127.0.0.1:7860", True),
        ("127.0.0.1:7860", "http://localhost:7860", True),
        ("localhost", "http://localhost:80", True),
        ("127.0.0.1:7860", "http://127.0.0.1:8000", False),
        ("127.0.0.1:7860", "http://evil.example", False),
        ("127.0.0.1:7860", "http://evil.example:7860", False),
        ("127.0.0.1:7860", "null", False),
        ("127.0.0.1:7860", "", False),
        ("127.0.0.1:7860", "http://127.0.0.1:x", False),
        ("127.0.0.1:7860", "https://tool.example", True),
    ],
)
def test_a_foreign_page_is_refused_whatever_it_calls(host, origin, fine, local):
    assert (refusal(host, origin, local, frozenset({"tool.example"})) is None) == fine


def test_a_server_for_other_machines_takes_its_own_pages_only():
    assert refusal("lab.example:7860", "http://lab.example:7860", local=False) is None
    assert refusal("lab.example:7860", "http://evil.example", local=False)
    assert refusal("lab.example:7860", "http://lab.example:9000", local=False)


def test_every_endpoint_refuses_a_foreign_host_and_a_foreign_page(served, desk):
    import httpx

    port = served.rsplit(":", 1)[1].strip("/")
    names = list(client_of(served).view_api(return_format="dict")["named_endpoints"])
    assert len(names) >= 14
    calls = [("POST", f"gradio_api/{way}{name}") for way in ("call", "run", "api") for name in names]
    calls += [
        ("POST", f"gradio_api/{name}") for name in ("queue/join", "upload", "cancel", "reset", "component_server")
    ]
    calls += [
        ("GET", name) for name in ("", "config", "gradio_api/info", "gradio_api/queue/data", "login", "theme.css")
    ]
    with httpx.Client(base_url=served) as client:
        for kind, path in calls:
            for headers in ({"Host": "evil.example"}, {"Host": f"evil.example:{port}"},
                            {"Origin": "http://evil.example"}, {"Origin": "null"}):  # fmt: skip
                told = client.request(kind, path, headers=headers, json={"data": []})
                assert told.status_code == 403 and "access-control-allow-origin" not in told.headers, (path, headers)
        own = client.post("gradio_api/call/runs", json={"data": []}, headers={"Origin": served.strip("/")})
        assert own.status_code == 200
    assert desk.queue.jobs() == []
