"""What the run of upstream's own tests rests on: the recording that answers, what became of a test, the table."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.upstream.outcomes import differences, read_junit, reasons
from tests.upstream.recordings import Recordings
from tests.upstream.report import DOCUMENT, document, markdown

TEST = "tests/integration/responses/test_it.py::test_it"


def asked(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hm?"}, *messages], **fields}


def searched(query: str, found: str) -> list[dict[str, Any]]:
    function = {"name": "search", "arguments": json.dumps({"query": query})}
    call = {"role": "assistant", "tool_calls": [{"id": f"call_{found}", "function": function}]}
    return [call, {"role": "tool", "content": found}]


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    made = [
        (f"{TEST}[txt=azure/gpt-4o]", asked(), "azure"),
        (f"{TEST}[txt=openai/gpt-4o:emb=some/model:dim=768-case]", asked(), "own"),
        (f"{TEST}[txt=openai/gpt-4o:emb=some/model:dim=768-case]", asked(top_p=0.5), "own, with top_p"),
        (f"{TEST}[txt=openai/gpt-4o]", asked(*searched("q", "one")), "one"),
        (f"{TEST}[txt=openai/gpt-4o]", asked(*searched("q", "two")), "two"),
    ]
    for number, (test, body, says) in enumerate(made):
        request = {"endpoint": "/v1/chat/completions", "body": body}
        answer = {"body": [{"__data__": {"says": says}}], "is_streaming": True}
        recording = {"test_id": test, "request": request, "response": answer}
        (tmp_path / f"{number}.json").write_text(json.dumps(recording))
    refused = {"status_code": 400, "body": {"code": "invalid_image_url"}}
    answer = {"is_exception": True, "exception_data": refused}
    recording = {
        "test_id": "other",
        "request": {"endpoint": "/v1/chat/completions", "body": {"messages": []}},
        "response": answer,
    }
    (tmp_path / "refused.json").write_text(json.dumps(recording))
    return Recordings(tmp_path)


@pytest.mark.parametrize(
    ("test", "body", "says"),
    [
        (f"{TEST}[txt=openai/gpt-4o:emb=lexical:dim=1024-case]", asked(), "own"),
        (f"{TEST}[txt=openai/gpt-4o:emb=lexical:dim=1024-case]", asked(top_p=0.5), "own, with top_p"),
        (f"{TEST}[txt=openai/gpt-4o]", asked(*searched("q", "two")), "two"),
        (f"{TEST}[txt=openai/gpt-4o]", asked(*searched("q", "three")), "one"),
        ("another", asked(), "azure"),
    ],
)
def test_the_recording_that_asks_nearest_answers(
    recordings: Recordings, test: str, body: dict[str, Any], says: str
) -> None:
    found = recordings.chat(test, body)
    assert found is not None
    assert found.chunks == ({"says": says},)


def test_a_refusal_is_recorded_too_and_nothing_answers_what_nobody_asked(recordings: Recordings) -> None:
    found = recordings.chat("other", {"messages": []})
    assert found is not None
    assert found.error == (400, {"error": {"code": "invalid_image_url"}})
    assert recordings.chat(TEST, asked({"role": "user", "content": "Well?"})) is None
    assert recordings.chat(TEST, asked(*searched("another query", "one"))) is None


def test_what_became_of_each_test(tmp_path: Path) -> None:
    place = 'classname="tests.integration.responses.test_it.TestIt"'
    (tmp_path / "results.xml").write_text(
        f'<testsuites><testsuite><testcase {place} name="a" /><testcase {place} name="b"><skipped /></testcase>'
        f'<testcase {place} name="c"><failure /></testcase><testcase {place} name="d" />'
        f'<testcase {place} name="d"><error /></testcase></testsuite></testsuites>'
    )
    builtin = read_junit(tmp_path / "results.xml")
    of = "responses/test_it.py::TestIt::"
    assert builtin == {f"{of}a": "passed", f"{of}b": "skipped", f"{of}c": "failed", f"{of}d": "failed"}
    assert differences(builtin, {**builtin, f"{of}a": "failed", f"{of}c": "passed"}) == [f"{of}a"]
    table = markdown(builtin, builtin, {})
    assert table.splitlines()[-1] == "| all | 1 | 2 | 1 | 1 | 2 | 1 |"


def test_the_documentation_gives_the_reasons_of_what_differs() -> None:
    table = DOCUMENT.read_text().partition("-->\n")[2].partition("\n\n<!-- end -->")[0].strip()
    assert document(table) == DOCUMENT.read_text()
    written = [line for line in table.splitlines() if line.startswith("- ")]
    assert written == [f"- `{test}`: {reason}" for test, reason in sorted(reasons().items())]
