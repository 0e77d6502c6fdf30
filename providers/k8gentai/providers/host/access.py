"""The caller of a request, and what they may see, by the host's own identity and access policy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from k8gentai.providers import host
from k8gentai.workers.queue.record import Owner

TABLE = "amf_responses"
"""The SQL table of responses. Its rows are ``sql_record::amf_responses`` to an access policy, and so are
turns still in Redis: one rule covers a response wherever it is kept."""


@dataclass(frozen=True)
class _Resource:
    """The view that the host's policy has of a thing that somebody asks for."""

    type: str
    identifier: str
    owner: Any


def caller() -> Owner | None:
    """Return who sent the current request; None where the host runs without authentication.

    Without authentication Llama Stack 0.7 hands on a user that a client put into a header, as a plain
    dictionary; only a user of the host's own making counts.
    """
    user = host.get_authenticated_user()
    if not isinstance(user, host.User):
        return None
    return Owner(principal=user.principal, attributes=user.attributes)


@contextmanager
def acting_as(owner: Owner | None) -> Iterator[None]:
    """Let the host see ``owner`` as the one who calls."""
    with host.request_provider_data_context({}, _user(owner)):
        yield


class Access:
    """The host's access policy applied to what it does not hold itself.

    Args:
        policy: the host's rules; empty means its default policy.
    """

    def __init__(self, policy: list[Any]) -> None:
        self._policy = policy

    def allows(self, action: str, turn_id: str, owner: Owner | None) -> bool:
        """Return whether the current caller may do ``action`` (read, update, delete) to a turn of ``owner``."""
        resource = _Resource(f"sql_record::{TABLE}", turn_id, _user(owner))
        return self._decide(action, resource)

    def may_use_model(self, identifier: str) -> bool:
        """Return whether the current caller may use an agent or model listed under this id."""
        return self._decide("read", _Resource("model", identifier, None))

    def _decide(self, action: str, resource: _Resource) -> bool:
        user = _user(caller())
        return bool(host.is_action_allowed(self._policy, host.Action(action), resource, user))


def _user(owner: Owner | None) -> Any:
    return None if owner is None else host.User(owner.principal, owner.attributes)
