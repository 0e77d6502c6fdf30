"""Tells the gateway which turn a model call belongs to, with agent code that knows nothing of us.

The send methods of the HTTP clients that model SDKs use are wrapped, as OpenTelemetry's instrumentations wrap
them, to add headers; on requests to the gateway's address only.
"""

import importlib
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote

from k8gentai.agents.adapters.base.inner_calls import is_inner
from k8gentai.agents.code.loading import own_place
from k8gentai.workers.gateway.model_calls import INNER_HEADER, PLACE_HEADER, SCOPE_HEADER, TURN_HEADER
from k8gentai.workers.isolation.current_attempt import current_attempt
from k8gentai.workers.tools.running_call import is_in_tool, scope

_CLIENTS = ("httpx", "httpx2")
"""Packages with ``Client.send`` and ``AsyncClient.send``."""


def attribute_calls(host: str, port: int) -> None:
    """Wrap the HTTP clients of this process. Call once, before agents are imported.

    Args:
        host: the gateway's, as in its URL.
        port: the gateway's.
    """

    def mark(request: Any) -> None:
        attempt = current_attempt.get()
        if attempt is not None and (request.url.host, request.url.port) == (host, port):
            request.headers[TURN_HEADER] = attempt.key
            request.headers[PLACE_HEADER] = quote(own_place())
            request.headers[SCOPE_HEADER] = quote(scope())
            if is_inner.get() or is_in_tool():
                request.headers[INNER_HEADER] = "1"

    for package in _CLIENTS:
        try:
            module = importlib.import_module(package)
        except ImportError:
            continue
        for client in (module.Client, module.AsyncClient):
            client.send = _marking(client.send, mark)


def _marking(send: Callable[..., Any], mark: Callable[[Any], None]) -> Callable[..., Any]:
    @wraps(send)
    def marked(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        mark(request)
        return send(self, request, *args, **kwargs)

    return marked
