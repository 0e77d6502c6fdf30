"""What several tests of this folder say."""

from tests.integration.helpers import check_sequence, collect, ended, eventually, prompt, text_of
from tests.scripted import Call

__all__ = ["check_sequence", "collect", "ended", "eventually", "items_of", "prompt", "running", "text_of", "write"]


def items_of(response, kind):
    """The output items of one type."""
    return [item for item in response.output if item.type == kind]


def write(page, line, tool="write"):
    """A call of one of the scribe's tools."""
    return Call(tool, {"path": str(page), "line": str(line)})


def running(stack, workers, turn_id):
    """The worker that runs a turn."""
    with stack.redis() as redis:
        name = redis.hget(f"amf:turn:{turn_id}", "worker").decode()
    return workers[int(name.split("-")[-2])]
