"""Who may call the server: requests for this machine's own names, from pages that this server sent itself.

A page of the web can make its name point at 127.0.0.1 (DNS rebinding) and can post to any server that its visitor
reaches. Its browser then sends the foreign name as `Host`, or the foreign page as `Origin`.
"""

from __future__ import annotations

import ipaddress
import json
from urllib.parse import urlsplit

from results.page.server.logins import caller

PORTS = {"http": 80, "https": 443}


def is_loopback(name: str) -> bool:
    """Whether a server at this address is reachable from this machine only."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def refusal(host: str, origin: str | None, local: bool, allowed: frozenset[str] = frozenset()) -> str | None:
    """Why a request with these headers is refused; None if it is not.

    local: the server listens on this machine only. allowed: further names, such as a reverse proxy's.
    """
    try:
        name, port = _place(f"//{host}")
        if local and not (is_loopback(name) or name in allowed):
            return "this server answers to localhost only; --allowed_host NAME allows another name"
        if origin is None:
            return None
        scheme = urlsplit(origin).scheme
        other, other_port = _place(origin)
    except ValueError:
        return "the Host or Origin header is not valid"
    if other in allowed:
        return None
    same = other == name or (is_loopback(other) and is_loopback(name))
    if same and other and (other_port or PORTS.get(scheme)) == (port or PORTS.get(scheme)):
        return None
    return "a page of another server may not call this one"


def _place(address: str) -> tuple[str, int | None]:
    """(name, port) of an address; ("", None) for the origin "null"."""
    parts = urlsplit(address)
    return (parts.hostname or "").rstrip("."), parts.port


class Guard:
    """ASGI middleware that answers 403 where `refusal` has a reason, and notes who calls."""

    def __init__(self, app, local: bool, allowed: frozenset[str] = frozenset()):
        self.app, self.local, self.allowed = app, local, allowed

    async def __call__(self, scope, receive, send):
        """Passes a request on, or refuses it."""
        if scope["type"] in ("http", "websocket"):
            headers: dict[str, str] = {}
            for key, value in scope["headers"]:
                headers.setdefault(key.decode("latin-1").lower(), value.decode("latin-1"))
            why = refusal(headers.get("host", ""), headers.get("origin"), self.local, self.allowed)
            if why:
                await _refuse(scope, send, why)
                return
            caller.set((scope.get("client") or ("",))[0])
        await self.app(scope, receive, send)


async def _refuse(scope, send, why: str):
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    kind = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 403, "headers": kind})
    await send({"type": "http.response.body", "body": json.dumps({"detail": why}).encode()})
