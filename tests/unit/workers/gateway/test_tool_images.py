"""Images in tools' results are shown to models, and never written out as text."""

import math

import httpx
import pytest

from k8gentai.agents.adapters.base.messages import SHOWN
from k8gentai.agents.resources.agent import Limits
from k8gentai.agents.tools.images import show_image, text_without_images
from k8gentai.workers.attempt.approvals import Approvals
from k8gentai.workers.attempt.budget import Budget
from k8gentai.workers.attempt.tool_guard import ToolGuard
from k8gentai.workers.gateway.tool_images import with_tool_images
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.tools.boundary import Tools
from tests.support.gateway import ANSWER, Bench
from tests.unit.workers.tools.test_tool_boundary import Recorded

URL = "data:image/png;base64,iVBORw0KGgo="
IMAGE = {"type": "image_url", "image_url": {"url": URL}}


def tools(journal, images):
    budget = Budget(Limits(), lambda end: None)
    guard = ToolGuard((), (), (), lambda end: None)
    nobody = Approvals({}, lambda *_: None, lambda: False)
    return Tools(
        "resp_1", {}, journal, lambda *_: None, nobody, budget, math.inf, Clock(0), guard=guard, images=images
    )


async def look():
    return f"Seen.\n{show_image(URL)}"


async def test_an_image_is_kept_beside_the_result_and_shown_again_after_a_crash():
    journal, images, again = Recorded(), {}, {}
    outcome = await tools(journal, images).call("c1", "look", {}, look)
    assert (outcome.output, images) == ("Seen.\n[image]", {"c1": [URL]})
    await tools(journal, again).call("c1", "look", {}, lambda: pytest.fail("it is not run again"))
    assert again == images


async def test_outside_of_a_turn_there_is_nobody_to_show_it_to():
    assert await look() == "Seen.\n[image]"


@pytest.mark.parametrize(
    "result",
    [
        [{"type": "text", "text": "Seen."}, IMAGE],
        {"role": "user", "content": [{"type": "text", "text": "Seen."}, IMAGE]},
        ["Seen.", {"type": "input_image", "image_url": URL}],
        [{"type": "text", "text": "Seen."}, {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}],
        ["Seen.", "VISION_IMAGE:image/png:iVBORw0KGgo="],
    ],
)
async def test_every_way_of_writing_an_image(result):
    async def run():
        return text_without_images(result)

    images = {}
    outcome = await tools(Recorded(), images).call("c1", "look", {}, run)
    assert (outcome.output, images) == ("Seen.\n[image]", {"c1": [URL]})


@pytest.mark.parametrize("result", ["text", 3, None, {"a": 1}, [{"type": "text", "text": "x"}], "VISION_IMAGE:"])
def test_what_has_no_image_is_left_to_whoever_writes_it(result):
    assert text_without_images(result) is None


BODY = {
    "model": "openai/gpt-4o",
    "messages": [{"role": "tool", "tool_call_id": "c1", "content": "[image]"}, {"role": "user", "content": "Go."}],
}


def test_an_image_is_shown_by_the_user_behind_its_result():
    result, shown, last = with_tool_images(BODY, {"c1": [URL]})["messages"]
    assert (result, last) == tuple(BODY["messages"])
    assert shown == {"role": "user", "content": [{"type": "text", "text": SHOWN}, IMAGE]}
    assert with_tool_images(BODY, {"c1": [URL]}, show=False) == BODY


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_takes_no_images_is_asked_without(stream):
    def answer(request: httpx.Request) -> httpx.Response:
        if b"image_url" in request.content:
            return httpx.Response(400, json={"error": {"message": "image input is not supported"}})
        if not stream:
            return httpx.Response(200, json=ANSWER)
        return httpx.Response(
            200, text='data: {"choices": [{"index": 0, "delta": {"content": "hi"}}]}\n\ndata: [DONE]\n\n'
        )

    bench = Bench(answer)
    bench.calls.images["c1"] = [URL]
    first = await bench.post({**BODY, "stream": stream})
    assert (first.status_code, "hi" in first.text) == (200, True)
    assert ["image_url" in str(request.content) for request in bench.asked] == [True, False]
    messages = [*BODY["messages"], {"role": "assistant", "content": "hi"}]
    await bench.post({**BODY, "messages": messages, "stream": stream})
    # It is not asked with them again, and answers an attempt after a crash from the journal.
    assert len(bench.asked) == 3
    bench.run_again()
    bench.calls.images["c1"] = [URL]
    assert (await bench.post({**BODY, "stream": stream})).status_code == 200
    assert len(bench.asked) == 3
