"""Searches, guardrails and files in the Llama Stack adapter: what is asked of the stack, and what comes of it."""

import base64

import pytest

from k8gentai.agents.adapters.llama_stack.adapter import LlamaStackAdapter
from k8gentai.agents.adapters.llama_stack.citations import MarkFilter, cited
from k8gentai.agents.adapters.llama_stack.guardrails import GuardrailError
from k8gentai.agents.contract.events import ItemDone, ItemDropped, MessageDone, TextDelta, ToolCall
from k8gentai.agents.contract.stack_services import StackFile
from k8gentai.agents.contract.turn import RequestError
from tests.scripted import Answer, Call
from tests.support.llama_stack import Boundary, context_for, run, turn_of
from tests.support.services import FakeServices, found

FILES = {"type": "file_search", "vector_store_ids": ["vs_1"]}
SEARCH = Call("file_search", {"query": "q"}, id="c1")
REFUSAL = [{"type": "refusal", "refusal": "No swords."}]


class KeepingBoundary(Boundary):
    """Keeps what calls came to; of one that it knows from an earlier attempt, nothing runs."""

    def __init__(self, recorded=None):
        super().__init__()
        self.outcomes = {}
        self.recorded = recorded or {}

    async def call(self, call_id, name, arguments, run, *, approval=False, starts_work=False):
        if call_id in self.recorded:
            return self.recorded[call_id]
        outcome = await super().call(call_id, name, arguments, run, approval=approval, starts_work=starts_work)
        self.outcomes[call_id] = outcome
        return outcome


@pytest.fixture
async def adapter():
    made = LlamaStackAdapter()
    yield made
    await made.aclose()


@pytest.fixture
def stack():
    services = FakeServices()
    services.stores["vs_1"] = [found("Ghent has canals.", "file-a", "ghent.txt", attributes={"land": "be"})]
    services.blocked["sword"] = "No swords."
    return services


async def ask(adapter, model, stack, key, *, boundary=None, **fields):
    context = context_for(model.base_url, tools=boundary or KeepingBoundary(), stack=stack)
    return await run(adapter, turn_of(f"[[{key}]]", **fields), context)


async def test_a_file_search_runs_through_the_boundary_and_its_files_are_cited(model, adapter, stack, key):
    call = Call("file_search", {"query": "canals"}, id="c1")
    model.script(key, Answer(call), Answer("It has <|fi", "le-a|> canals <|file-a|>", "."))
    boundary = KeepingBoundary()
    options = {"filters": {"type": "eq", "key": "land", "value": "be"}, "max_num_results": 3}
    events = await ask(adapter, model, stack, key, boundary=boundary, tools=[{**FILES, **options}])

    assert boundary.calls == [("c1", "file_search", {"query": "canals"})]
    ((store, search),) = stack.searches
    assert store == "vs_1"
    assert (search["query"], search["filters"], search["max_num_results"]) == ("canals", options["filters"], 3)
    hit = {"file_id": "file-a", "filename": "ghent.txt", "score": 0.5, "text": "Ghent has canals."}
    assert boundary.outcomes["c1"].results == [{**hit, "attributes": {"land": "be"}}]
    (shown,) = model.requests(key)[1].texts("tool")
    assert "Ghent has canals." in shown
    assert "<|file-a|>" in shown
    (called,) = [event for event in events if isinstance(event, ToolCall)]
    assert (called.side, called.shown_as) == ("worker", "file_search_call")
    (done,) = [event for event in events if isinstance(event, MessageDone)]
    assert done.text == "It has canals."
    citation = {"type": "file_citation", "file_id": "file-a", "filename": "ghent.txt"}
    assert done.annotations == [{**citation, "index": 6}, {**citation, "index": 13}]
    assert "".join(event.delta for event in events if isinstance(event, TextDelta)) == done.text


async def test_a_search_that_is_known_is_not_made_again_and_still_cited(model, adapter, stack, key):
    model.script(key, Answer(SEARCH), Answer("So <|file-a|>."), Answer(SEARCH), Answer("So <|file-a|>."))
    boundary = KeepingBoundary()
    first = await ask(adapter, model, stack, key, boundary=boundary, tools=[FILES])
    stack.searches.clear()
    known = KeepingBoundary(boundary.outcomes)
    assert await ask(adapter, model, stack, key, boundary=known, tools=[FILES]) == first
    assert stack.searches == []


async def test_several_stores_are_one_search(model, adapter, stack, key):
    stack.stores["vs_2"] = [found("Bruges too.", "file-b", "bruges.txt")]
    model.script(key, Answer(SEARCH), Answer("Yes."))
    boundary = KeepingBoundary()
    tool = {**FILES, "vector_store_ids": ["vs_1", "vs_2"]}
    await ask(adapter, model, stack, key, boundary=boundary, tools=[tool])
    assert [hit["file_id"] for hit in boundary.outcomes["c1"].results] == ["file-a", "file-b"]


@pytest.mark.parametrize(
    ("call", "tools", "told"),
    [
        (SEARCH, [{**FILES, "vector_store_ids": ["vs_9"]}], "no store vs_9"),
        (Call("file_search", {}), [FILES], "query: is missing"),
        (Call("file_search", "no json"), [FILES], "not a JSON object"),
        (Call("web_search", {"query": "q"}), [FILES], "there is no tool 'web_search'"),
        (SEARCH, [{"type": "web_search"}], "there is no tool 'file_search'"),
        (Call("web_search", {"query": "q"}), [{"type": "web_search"}], "the web is away"),
    ],
)
async def test_a_search_that_fails_is_shown_to_the_model(model, adapter, stack, key, call, tools, told):
    model.script(key, Answer(call), Answer("It failed."))
    events = await ask(adapter, model, stack, key, tools=tools)
    assert events[-2] == MessageDone(message_id="m1", text="It failed.")
    (shown,) = model.requests(key)[1].texts("tool")
    assert told in shown


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview", "web_search_2025_08_26"])
async def test_a_web_search(model, adapter, stack, key, kind):
    stack.web = "Rain."
    model.script(key, Answer(Call("web_search", {"query": "weather"}, id="c1")), Answer("It rains."))
    events = await ask(adapter, model, stack, key, tools=[{"type": kind}])
    assert stack.searches == [("web", {"query": "weather"})]
    assert model.requests(key)[1].texts("tool") == ["Rain."]
    assert [event.shown_as for event in events if isinstance(event, ToolCall)] == ["web_search_call"]
    (offered,) = model.requests(key)[0].body["tools"]
    assert offered["function"]["name"] == "web_search"


async def test_what_was_found_before_is_told_in_the_next_turn(model, adapter, stack, key):
    model.script(key, Answer("Canals."))
    hit = {"file_id": "file-a", "filename": "ghent.txt", "score": 1, "text": "Ghent has canals.", "attributes": {}}
    call = {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["g"], "results": [hit]}
    await ask(adapter, model, stack, key, history=[call])
    asked = model.requests(key)[0]
    assert asked.messages[0]["tool_calls"][0]["function"]["name"] == "file_search"
    assert asked.texts("tool") == ["ghent.txt (file-a): Ghent has canals."]


async def test_a_guardrail_blocks_the_input_before_any_model_call(model, adapter, stack, key):
    wanted = {"instructions": "Talk of swords.", "parameters": {"guardrails": ["peace"]}}
    image = {"type": "input_image", "image_url": "data:,"}
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Of what?"}, image]}
    events = await ask(adapter, model, stack, key, history=[said], **wanted)
    assert stack.judged == [("peace", f"Talk of swords. Of what? [[{key}]]")]
    assert [event.type for event in events] == ["item.started", *["item.progress"] * 4, "item.done"]
    assert events[-1] == ItemDone(
        item={"id": "i0", "type": "message", "role": "assistant", "status": "completed", "content": REFUSAL}
    )
    assert model.requests(key) == []


async def test_a_guardrail_blocks_an_answer_before_its_words_are_shown(model, adapter, stack, key):
    model.script(key, Answer("Take ", "a sword", " now."))
    events = await ask(adapter, model, stack, key, parameters={"guardrails": [{"type": "peace"}]})
    assert [event.delta for event in events if isinstance(event, TextDelta)] == ["Take "]
    assert ItemDropped(item_id="m0") in events
    (done,) = [event for event in events if isinstance(event, ItemDone)]
    assert done.item["content"] == REFUSAL
    assert events[-1].type == "step.completed"
    assert not [event for event in events if isinstance(event, MessageDone)]
    assert [text for _, text in stack.judged] == [f"[[{key}]]", "Take ", "Take a sword"]


async def test_what_guardrails_let_through_is_as_without_them(model, adapter, stack, key):
    model.script(key, Answer("Take ", "care."), Answer("Take ", "care."))
    guarded = await ask(adapter, model, stack, key, parameters={"guardrails": ["peace"]})
    assert guarded == await ask(adapter, model, stack, key)


async def test_a_guardrail_that_is_away_ends_the_turn(model, adapter, stack, key):
    with pytest.raises(GuardrailError, match="'away' did not answer: the guard is away"):
        await ask(adapter, model, stack, key, parameters={"guardrails": ["away"]})


async def test_files_of_the_input_are_read_once(model, adapter, stack, key):
    stack.files["file-p"] = StackFile("dot.png", b"dots")
    model.script(key, Answer("A dot."))
    parts = [{"type": "input_image", "file_id": "file-p"}, {"type": "input_file", "file_id": "file-p"}]
    await ask(adapter, model, stack, key, history=[{"type": "message", "role": "user", "content": parts}])
    image, file = model.requests(key)[0].messages[0]["content"]
    url = f"data:image/png;base64,{base64.b64encode(b'dots').decode()}"
    assert image["image_url"]["url"] == url
    assert file["file"] == {"file_data": url, "filename": "dot.png"}
    assert stack.fetched == ["file-p"]


async def test_a_file_that_is_gone_is_named(model, adapter, stack, key):
    message = {"type": "message", "role": "user", "content": [{"type": "input_file", "file_id": "file-x"}]}
    with pytest.raises(RequestError, match="'file-x' of the input cannot be read: no file file-x"):
        await ask(adapter, model, stack, key, history=[message])


@pytest.mark.parametrize(
    "text",
    ["A <|file-a|>.", "A<|file-a|><|file-b|>", "a < b <| c <|file |> d", "ends <|file-a", "x <|file-a|>y  ", " <"],
)
def test_the_pieces_shown_are_the_beginning_of_the_clean_text(text):
    clean, _ = cited(text, {})
    for size in range(1, len(text) + 1):
        marks = MarkFilter()
        shown = "".join(marks.feed(text[at : at + size]) for at in range(0, len(text), size))
        assert clean.startswith(shown)
        assert len(clean) - len(shown) <= len(" <|file-a|")
