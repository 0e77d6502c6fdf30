"""Has BeeAI's agents give long answers in many pieces: run as a module."""

import asyncio
import json
import random
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.backend import (
    AssistantMessage,
    ChatModel,
    ChatModelOutput,
    MessageReasoningContent,
    MessageTextContent,
    MessageToolCallContent,
)

from k8gentai.agents.adapters.beeai import adapter  # noqa: F401 - it follows all models
from k8gentai.agents.adapters.beeai.long_answers import WrittenText
from k8gentai.agents.adapters.beeai.run import TurnRun, current_run
from k8gentai.agents.contract.events import TextDelta

SENTENCE = 'He said: "well\\{nothing}", \n and\ttook ü, 😀 and \x07. '


class Writer(ChatModel):
    """A model that gives an answer in pieces."""

    model_id = "writer"
    provider_id = "openai"

    def __init__(self, chunks):
        super().__init__()
        self.chunks = chunks

    async def _create(self, given, run):
        raise NotImplementedError

    async def _create_stream(self, given, run):
        for part in self.chunks:
            yield ChatModelOutput(output=[AssistantMessage(part)])


def pieces(text, size=3):
    """Cut a text into pieces."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def as_text(text):
    """Answer by words."""
    return [MessageTextContent(text=piece) for piece in pieces(text)]


def as_call(text, written=json.dumps):
    """Answer by a call of ``final_answer``."""
    first = MessageToolCallContent(id="c1", tool_name="final_answer", args="")
    rest = pieces(written({"response": text}))
    return [first, *(MessageToolCallContent(id="", tool_name="", args=piece) for piece in rest)]


def as_loose_call(text):
    """Answer by a call of ``final_answer`` whose arguments are not quite JSON."""
    return as_call(text, lambda given: '{response: "' + given["response"] + '"}')


async def work(chunks, said):
    """Give an answer. Returns how many functions were called for that, which is the same each time."""
    called, events, heard = 0, [], []

    def count(frame, event, argument):
        nonlocal called
        called += event in ("call", "c_call")

    agent = RequirementAgent(llm=Writer(chunks), tools=[], name="writer")
    tools = SimpleNamespace(exempt=lambda *_: None)
    context: Any = SimpleNamespace(publish=events.append, max_steps=2, tools=tools)
    turn: Any = SimpleNamespace(asked_at=datetime.now(UTC))
    current_run.set(TurnRun(context, turn, set()))
    asked = agent.run("go").on("final_answer", lambda data, meta: heard.append(data.delta))
    sys.setprofile(count)
    answer = (await asked).last_message.text
    sys.setprofile(None)
    shown = [event.delta for event in events if isinstance(event, TextDelta)]
    assert answer == "".join(shown) == said, (answer, "".join(shown))
    return called, len(shown), "".join(heard)


async def check_cost(write, text):
    """Check that four times the pieces take four times the work, and that they are shown."""
    short, *_ = await work(write(text), text)
    chunks = write(text * 4)
    long, shown, _ = await work(chunks, text * 4)
    assert long < short * 4.5, (write.__name__, short, long)
    return len(chunks), shown


def check_joining(dice):
    """Check that pieces joined at once are what they are joined one by one."""
    parts = [
        lambda: MessageTextContent(text=dice.choice(["", "a", "bc"])),
        lambda: MessageReasoningContent(text="hm"),
        lambda: MessageToolCallContent(id=dice.choice(["", "c1", "c2"]), tool_name="t", args=dice.choice("{}1")),
    ]
    for _ in range(300):
        chunks = [
            ChatModelOutput(
                output=[AssistantMessage([dice.choice(parts)()])] * dice.choice([0, 1, 1]),
                finish_reason=dice.choice([None, "stop"]),
            )
            for _ in range(dice.randrange(9))
        ]
        one_by_one = ChatModelOutput(output=[])
        for chunk in chunks:
            one_by_one.merge(chunk)
        at_once = ChatModelOutput.from_chunks(chunks)
        contents = [[message.content for message in each.output] for each in (one_by_one, at_once)]
        assert contents[0] == contents[1], contents
        assert one_by_one.finish_reason == at_once.finish_reason


def check_reading(dice):
    """Check that arguments give all their text, however they are cut."""
    for written in (json.dumps, lambda given: json.dumps(given, ensure_ascii=False, indent=1)):
        arguments = written({"response": SENTENCE})
        for _ in range(50):
            text, end, read = WrittenText("response"), 0, ""
            while end < len(arguments):
                end += dice.randrange(1, 9)
                now = text.read(arguments[:end])
                assert now is None or now.startswith(read), (read, now)
                read = read if now is None else now
            assert read == SENTENCE, read


async def main():
    """Check each kind of answer."""
    check_joining(random.Random(7))
    check_reading(random.Random(7))
    plain = SENTENCE.replace("\\", "").replace("\x07", "")
    for write, text in ((as_text, plain * 8), (as_call, SENTENCE * 8)):
        chunks, shown = await check_cost(write, text)
        assert shown > chunks / 2, (chunks, shown)
    words = "one word after another, " * 16
    await check_cost(as_loose_call, words)
    *_, heard = await work(as_call(words), words)
    assert heard == words


if __name__ == "__main__":
    asyncio.run(main())
