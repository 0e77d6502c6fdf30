"""Has a tool run for an admitted call, and the call be made again, as when a person was asked in between."""

import sys
from contextlib import contextmanager
from types import ModuleType

from pydantic import BaseModel, create_model

from k8gentai.agents.adapters.base.kept_results import is_same
from k8gentai.agents.tools.admitted_arguments import admit
from k8gentai.agents.tools.own_result import OwnResult, current_own_result


class Receipt(BaseModel):
    """What a tool returns that is no JSON."""

    total: int = 5


def gone():
    """Return a value, and what takes its class away: the next process has not imported it yet."""
    billing = sys.modules["billing"] = ModuleType("billing")
    vars(billing)["Bill"] = create_model("Bill", __module__="billing", total=(int, 5))
    return billing.Bill(), lambda: sys.modules.pop("billing")


class Unwritten:
    """What a tool returns that no text makes again."""


@contextmanager
def attempt(admission, kept=None):
    """While inside, the call is made. Yields what takes the result of its tool, and may have it already."""
    own = OwnResult(kept)
    token = current_own_result.set(own)
    try:
        with admit(admission):
            yield own
    finally:
        current_own_result.reset(token)


def verify(first, second, ran):
    """Assert that a tool ran once, and that its call has the same result again."""
    assert ran == 1, f"{first!r}: ran {ran} times"
    assert is_same(first, second), f"{first!r} came back as {second!r}"
