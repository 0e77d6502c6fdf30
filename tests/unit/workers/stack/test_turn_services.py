"""What a worker asks of the stack for a turn: in the turn's name, and not for ever."""

import base64

import pytest

from k8gentai.agents.contract.stack_services import StackFile
from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.queue.attempts import Lease
from k8gentai.workers.stack.credentials import Caller
from k8gentai.workers.stack.services import TurnServices
from tests.support.gateway import Kept


class Stack:
    """Answers every request alike, and keeps it."""

    def __init__(self, answer=None):
        self.answer = answer
        self.asked = []

    async def post(self, path, body, caller, *, seconds):
        self.asked.append((path, body, caller))
        self.seconds = seconds
        return self.answer


def services_of(stack):
    journal = Journal(Kept(), Lease("resp_1", 2), {})
    return TurnServices(stack, Caller("resp_1", 2, {"traceparent": "00-1"}), journal, str)


@pytest.mark.parametrize(
    ("ask", "path", "body", "answer", "expected"),
    [
        (
            lambda s: s.search_vector_store("vs_1", {"query": "q"}),
            "file-search",
            {"vector_store_id": "vs_1", "search": {"query": "q"}},
            {"data": [{"score": 1}]},
            [{"score": 1}],
        ),
        (lambda s: s.search_web({"query": "q"}), "web-search", {"arguments": {"query": "q"}}, {"text": "t"}, "t"),
        (
            lambda s: s.violation("t", "g"),
            "moderation",
            {"text": "t", "guardrail": "g"},
            {"violation": None},
            None,
        ),
        (
            lambda s: s.file("file-1"),
            "file",
            {"file_id": "file-1"},
            {"filename": "a.txt", "content": base64.b64encode(b"a").decode()},
            StackFile("a.txt", b"a"),
        ),
    ],
)
async def test_it_is_asked_in_the_turns_name(ask, path, body, answer, expected):
    stack = Stack(answer)
    assert await ask(services_of(stack)) == expected
    ((asked_path, asked_body, caller),) = stack.asked
    assert (asked_path, asked_body) == (f"/v1/amf/services/{path}", body)
    assert (caller.turn_id, caller.attempt, caller.trace) == ("resp_1", 2, {"traceparent": "00-1"})
    assert stack.seconds == 120
    # What is vouched for is the turn, and no right to ask an agent.
    parent = caller.grant
    assert (parent.turn_id, parent.depth, parent.tokens, parent.deadline) == ("resp_1", 0, 0, 0)


async def test_an_answer_of_something_else_is_told_in_one_line():
    why = "what answered /v1/amf/services/web-search is not the stack: text: Field required"
    with pytest.raises(ToolFailedError, match=f"^{why}$"):
        await services_of(Stack({"detail": "no"})).search_web({"query": "q"})
