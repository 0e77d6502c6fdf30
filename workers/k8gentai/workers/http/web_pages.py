"""Protects an HTTP server on this machine from the web pages that its user visits.

A browser lets any page send requests to any address, loopback included. Three checks keep such a page out, and
each leaves clients that are no browsers alone: ``Host`` (a page whose name was bound anew to this address names
itself there), ``Origin`` with ``Sec-Fetch-Site`` (any other page), and the media type of a body (what a page may
send without asking first is never ``application/json``).
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_POLICY_VIOLATION = 1008
"""RFC 6455, section 7.4.1."""
_READING = frozenset({"GET", "HEAD"})
_NEVER_PUBLIC = frozenset({"localhost", "local", "internal", "test", "home.arpa", "svc"})
"""Ends of names that no public DNS answers for, so that no page has one: RFC 6761, 6762 and 8375, ICANN's
resolution 2024.07.29.06, and what Kubernetes calls a service inside its cluster."""
_HOST = re.compile(
    r"(?:(?P<name>[A-Za-z0-9._-]*)|\[(?P<address>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._~-]+)?)\])(?::[0-9]*)?"
)
"""A name or an address, and a port."""
_FORMS = frozenset({"multipart/form-data", "application/x-www-form-urlencoded"})


@dataclass(frozen=True)
class Trust:
    """Whom a server trusts beside itself.

    Args:
        hosts: names it may be called by, without a port; ``*`` for any.
        origins: origins whose pages may call it; ``*`` for any.
        origin_pattern: a regular expression of further ones.
        authenticated: whether each request must carry a credential, which a page of others does not have.
    """

    hosts: Collection[str] = ()
    origins: Collection[str] = ()
    origin_pattern: str | None = None
    authenticated: bool = False

    def host(self, host: str, *, on_loopback: bool) -> bool:
        """Return whether a server may be called by a ``Host`` header.

        Args:
            host: the header.
            on_loopback: whether the request came over loopback, where a server has names of its own. Elsewhere it
                may be called by what no page of others could be called: an address, or a name of no public DNS.
        """
        if (name := _name(host)) is None:
            return False
        if name in self.hosts or "*" in self.hosts:
            return True
        return name == "localhost" or _is_loopback(name) if on_loopback else _is_not_public(name)

    def origin(self, origin: str) -> bool:
        """Return whether pages of an origin are allowed."""
        if origin in self.origins or "*" in self.origins:
            return True
        return self.origin_pattern is not None and re.fullmatch(self.origin_pattern, origin) is not None


@dataclass(frozen=True)
class _Refusal:
    status: int
    code: str
    message: str


class TransportSecurity:
    """ASGI middleware that refuses what a web page of others could send.

    Args:
        app: the app to protect.
        trust: whom it trusts.
        takes_form: whether the route of a scope takes a form, as those of files do.
    """

    def __init__(
        self, app: ASGIApp, trust: Trust | None = None, takes_form: Callable[[Scope], bool] = lambda _: False
    ) -> None:
        self._app = app
        self._trust = trust or Trust()
        self._takes_form = takes_form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(_POLICY_VIOLATION, refusal.message)(scope, receive, send)
        else:
            await _answer(refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> _Refusal | None:
        headers = Headers(scope=scope)
        # Browsers send it always. Clients of HTTP/1.0, such as health checks, may leave it out.
        host = headers.get("host")
        if host is not None and not self._may_be_called(host, scope):
            return _Refusal(
                421,
                "host_not_allowed",
                f"This server is not called '{_name(host) or host}'. "
                "AMF_ALLOWED_HOSTS names what it may be called.",
            )
        if self._is_cross_site(scope, headers):
            return _Refusal(
                403,
                "origin_not_allowed",
                f"Web pages of '{headers.get('origin', 'another site')}' may not call this server. "
                "server.cors of the run YAML names those that may.",
            )
        if scope["type"] == "http" and not self._is_readable(scope, headers):
            return _Refusal(
                415,
                "unsupported_media_type",
                "The body must come as 'Content-Type: application/json'"
                + (" or as a form." if self._takes_form(scope) else "."),
            )
        return None

    def _may_be_called(self, host: str, scope: Scope) -> bool:
        """Return whether a request names the server by one of its names, which tells pages of others apart whose
        name was bound anew to its address.
        """
        server = scope.get("server")
        on_loopback = server is not None and _is_loopback(server[0])
        return self._trust.authenticated or self._trust.host(host, on_loopback=on_loopback)

    def _is_cross_site(self, scope: Scope, headers: Headers) -> bool:
        if (origin := headers.get("origin")) is not None:
            own = _place(origin) == headers.get("host", "").lower() != ""
            return not own and not self._trust.origin(origin)
        # Pages of the same site are not of the same origin: those of another port are others'.
        if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
            return False
        # A person follows a link. The page that has it sees nothing of the answer.
        follows = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
        return not (follows and scope.get("method") in _READING)

    def _is_readable(self, scope: Scope, headers: Headers) -> bool:
        if scope["method"] in _READING or not _has_body(headers):
            return True
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type in _FORMS:
            return self._takes_form(scope)
        return media_type == "application/json"


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _place(origin: str) -> str:
    """Return the host and port in an ``Origin`` header; empty where there are none to be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(host: str) -> str | None:
    """Return the name in a ``Host`` header, without its port; None where the header is none of RFC 9110, section
    7.2, or its name none that DNS or an address could have.
    """
    read = _HOST.fullmatch(host)
    if read is None or (read["address"] and _address(read["address"]) is None):
        return None
    return (read["address"] or read["name"] or "").lower().removesuffix(".")


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a name is, if it is one."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    # As a socket of both families shows clients of the older one.
    return getattr(address, "ipv4_mapped", None) or address


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return address is not None and address.is_loopback


def _is_not_public(name: str) -> bool:
    """Return whether no public DNS answers for a name: it is an address, has one label or a reserved end."""
    labels = name.split(".")
    ends = {".".join(labels[-count:]) for count in (1, 2)}
    return _address(name) is not None or (len(labels) == 1 and name != "") or not ends.isdisjoint(_NEVER_PUBLIC)


def _answer(refusal: _Refusal) -> JSONResponse:
    error = {"message": refusal.message, "type": "invalid_request_error", "param": None, "code": refusal.code}
    # The body was not read, so nothing else can come on this connection.
    return JSONResponse({"error": error}, refusal.status, headers={"Connection": "close"})
