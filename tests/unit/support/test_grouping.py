"""Tests that share a stack run in one process."""

import pytest

from tests.support.grouping import group_of


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/unit/providers/ids/test_ids.py::test_one", "tests/unit/providers/ids/test_ids.py"),
        (
            "tests/conformance/test_capabilities.py::test_the[llama-stack-TEXT: a - b]",
            "tests/conformance/llama-stack",
        ),
        ("tests/conformance/test_crews.py::test_a_crew[crewai]", "tests/conformance/crewai"),
        ("tests/conformance/test_ag2.py::test_it[ag2-True]", "tests/conformance/ag2"),
        ("tests/conformance/test_command.py::test_it", "tests/conformance/test_command.py"),
        ("tests/integration/test_create.py::test_it[ogx-plain]", "tests/integration/ogx"),
        ("tests/integration/test_queue.py::test_it", "tests/integration/test_queue.py"),
    ],
)
def test_the_group_is_told_by_the_name(nodeid: str, group: str) -> None:
    assert group_of(nodeid) == group
