"""Checks that the conversation so far reaches the model, whichever way the turns hang together."""

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import contains, equal, eventually, one
from k8gentai.stack.conformance.lab import Lab, items
from k8gentai.stack.conformance.scripted import Answer, Call, Received
from k8gentai.stack.conformance.scripted.steps import text_of


def _heard(request: Received) -> list[tuple[str, str]]:
    """Return what the model was told, but for the system's words."""
    return [
        (message["role"], text)
        for message in request.messages
        if message["role"] != "system" and (text := text_of(message))
    ]


@check(Capability.HISTORY)
async def earlier_responses_are_known(lab: Lab) -> None:
    lab.script(Answer("One."), Answer("Two."), Answer("Three."))
    previous = None
    for number in range(3):
        previous = (await lab.answer("plain", f"Question {number}.", previous_response_id=previous)).id
    heard = _heard(lab.requests()[2])
    equal("the roles", [role for role, _ in heard], ["user", "assistant", "user", "assistant", "user"])
    for (_, text), part in zip(heard, ("Question 0.", "One.", "Question 1.", "Two.", "Question 2."), strict=True):
        contains("a message", text, part)


@check(Capability.HISTORY)
async def the_conversation_is_known(lab: Lab) -> None:
    lab.script(Answer("One."), Answer("Two."))
    conversation = (await lab.client.conversations.create()).id
    for text in ("First.", "Second."):
        await lab.answer("plain", text, conversation=conversation)
    equal("the roles", [role for role, _ in _heard(lab.requests()[1])], ["user", "assistant", "user"])


@check(Capability.HISTORY, Capability.TOOLS)
async def earlier_tool_calls_are_known(lab: Lab) -> None:
    lab.script(Answer(Call("multiply", {"a": 6, "b": 7})), Answer("42."), Answer("As I said."))
    first = await lab.answer("calculator", "How much?")
    equal("calls of the first turn", len(items(first, "mcp_call")), 1)
    await lab.answer("calculator", "Sure?", previous_response_id=first.id)
    messages = lab.requests()[2].messages
    call = one("calls in the history", [c for message in messages for c in message.get("tool_calls") or ()])
    equal("the call's tool", call["function"]["name"], "multiply")
    result = one("results in the history", [message for message in messages if message["role"] == "tool"])
    equal("the call that the result is of", result["tool_call_id"], call["id"])
    equal("the result", float(result["content"]), 42)


@check(Capability.HISTORY)
async def turns_of_one_conversation_run_one_after_the_other(lab: Lab) -> None:
    lab.script(*(Answer(f"{number}.") for number in range(3)))
    conversation = (await lab.client.conversations.create()).id
    turns = [await lab.begin("plain", conversation=conversation) for _ in range(3)]
    last = await eventually(
        "the last turn completes",
        lambda: lab.client.responses.retrieve(turns[-1]),
        lambda response: response.status == "completed",
    )
    equal("the last turn's answer", last.output_text, "2.")
