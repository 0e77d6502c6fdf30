"""The checks of ``k8gentai.workers.http.web_pages`` around all routes of the server, the host's included."""

import re
from collections.abc import Collection
from functools import cached_property
from typing import Any

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import compile_path
from starlette.types import ASGIApp, Scope

from k8gentai.providers import host
from k8gentai.providers.server.answered_errors import AnsweredErrors
from k8gentai.workers.http.web_pages import TransportSecurity, Trust


def protect(allowed_hosts: Collection[str]) -> None:
    """Put the checks around the server's application, before its first request.

    Args:
        allowed_hosts: names the server may be called by, beside those of loopback.
    """

    def around(app: Any, inner: ASGIApp) -> ASGIApp:
        trust = _trust(app.stack.run_config.server, allowed_hosts)
        return TransportSecurity(AnsweredErrors(inner), trust, FormRoutes(app).takes_form)

    host.put_around_app(around)


def _trust(server: Any, hosts: Collection[str]) -> Trust:
    """Read whom the ``server`` of a run YAML trusts."""
    authenticated = bool(server.auth and server.auth.provider_config)
    cors = host.cors(server)
    if cors is None:
        return Trust(hosts, authenticated=authenticated)
    return Trust(hosts, cors.allow_origins, cors.allow_origin_regex, authenticated)


class FormRoutes:
    """The routes of an application that take forms.

    Args:
        app: a FastAPI application, whose routes stand.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    def takes_form(self, scope: Scope) -> bool:
        """Return whether a request goes to one of them."""
        return any(
            scope["method"] in methods and pattern.match(scope["path"]) for methods, pattern in self._routes
        )

    @cached_property
    def _routes(self) -> list[tuple[set[str], re.Pattern[str]]]:
        return [
            (context.original_route.methods or set(), compile_path(context.path or "")[0])
            for context in iter_route_contexts(self._app.routes)
            if isinstance(context.original_route, APIRoute) and _takes_form(context.original_route.dependant)
        ]


def _takes_form(dependant: Dependant) -> bool:
    fields = dependant.body_params
    return any(isinstance(field.field_info, params.Form) for field in fields) or any(
        _takes_form(inner) for inner in dependant.dependencies
    )
