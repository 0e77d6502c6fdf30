"""Files and images: those that items name by id, and those that tools return."""

import pytest

from k8gentai.agents.adapters.base.files import with_files
from k8gentai.agents.adapters.base.messages import SHOWN, to_messages
from k8gentai.agents.contract.stack_services import StackFile
from k8gentai.agents.contract.turn import RequestError, Turn
from k8gentai.workers.gateway.tool_images import with_tool_images
from tests.support.services import FakeServices

DATA = "data:image/png;base64,cG5n"
IMAGE = {"type": "image_url", "image_url": {"url": DATA, "detail": "auto"}}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}


def turn(*parts, **item) -> Turn:
    return Turn(
        id="resp_1", agent="a", input=[item or {"type": "message", "role": "user", "content": list(parts)}]
    )


@pytest.fixture
def stack():
    made = FakeServices()
    made.files = {"file-1": StackFile("a.png", b"png"), "file-2": StackFile("a.txt", b"words")}
    return made


async def test_files_of_the_stack_are_put_into_messages(stack):
    asked = turn(
        {"type": "input_text", "text": "What?"},
        {"type": "input_image", "file_id": "file-1", "detail": "auto"},
        {"type": "input_file", "file_id": "file-2"},
        {"type": "input_image", "file_id": "file-1"},
    )
    (message,) = to_messages((await with_files(asked, stack)).input)
    file = {"filename": "a.txt", "file_data": "data:text/plain;base64,d29yZHM="}
    assert message["content"] == [
        {"type": "text", "text": "What?"},
        IMAGE,
        {"type": "file", "file": {"file_data": file["file_data"], "filename": "a.txt"}},
        IMAGE,
    ]
    assert stack.fetched == ["file-1", "file-2"]


async def test_a_file_that_is_not_there_ends_the_turn(stack):
    with pytest.raises(RequestError, match="file-9"):
        await with_files(turn({"type": "input_image", "file_id": "file-9"}), stack)


@pytest.mark.parametrize("kind", ["input_image", "input_file", "input_audio"])
def test_a_part_that_no_model_is_sent_is_refused(kind):
    items = turn({"type": "input_image", "image_url": DATA}, {"type": kind}).input
    with pytest.raises(RequestError, match=kind):
        to_messages(items)


async def test_an_image_of_a_tool_that_the_client_ran_is_shown_to_the_model(stack):
    output = [{"type": "input_text", "text": "Here."}, {"type": "input_image", "file_id": "file-1"}]
    answer = turn(type="function_call_output", call_id="c1", output=output)
    filled = await with_files(answer, stack)
    called, result, shown = to_messages([CALL, *filled.input])
    assert called["tool_calls"][0]["id"] == "c1"
    assert result == {"role": "tool", "tool_call_id": "c1", "content": "Here.[image]"}
    assert shown == {"role": "user", "content": [{"type": "text", "text": SHOWN}, IMAGE]}


def test_an_image_of_a_tool_that_ran_here_is_shown_to_the_model():
    def result(call_id, *parts):
        return {"role": "tool", "tool_call_id": call_id, "content": list(parts)}

    text = {"type": "text", "text": "Seen."}
    messages = [result("c1", text, IMAGE), result("c2", {"type": "video"}), {"role": "user", "content": "Go on."}]
    assert with_tool_images({"messages": messages}, {})["messages"] == [
        {"role": "tool", "tool_call_id": "c1", "content": "Seen.\n[image]"},
        {"role": "tool", "tool_call_id": "c2", "content": "[video]"},
        {"role": "user", "content": [{"type": "text", "text": SHOWN}, IMAGE]},
        {"role": "user", "content": "Go on."},
    ]


def test_calls_without_images_stay_as_they_are():
    body = {"messages": [{"role": "tool", "content": [{"type": "text", "text": "Seen."}]}, "odd"]}
    assert with_tool_images(body, {"c1": [DATA]}) is body
