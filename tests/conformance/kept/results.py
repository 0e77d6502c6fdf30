"""Has a tool run for an admitted call, and the call be made again, as when a person was asked in between."""

from contextlib import contextmanager

from pydantic import BaseModel

from k8gentai.agents.admission import OwnResult, admit, current_own_result
from k8gentai.agents.kept_results import is_same


class Receipt(BaseModel):
    """What a tool returns that is no JSON."""

    total: int = 5


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
