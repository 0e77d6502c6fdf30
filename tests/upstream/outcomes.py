"""What became of each test, on one side and on both."""

import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path

Outcomes = dict[str, str]
"""Test, as ``responses/test_basic_responses.py::test_it[parameters]`` -> ``passed``, ``failed`` or ``skipped``."""

_REASONS = Path(__file__).with_name("differences.toml")


def reasons() -> dict[str, str]:
    """What is known to differ: test, without parameters -> why it fails with our provider only."""
    return tomllib.loads(_REASONS.read_text())


def differences(builtin: Outcomes, ours: Outcomes) -> list[str]:
    """The tests, with parameters, that pass with the builtin provider and not with ours."""
    return sorted(name for name, outcome in builtin.items() if outcome == "passed" != ours.get(name))


def unnamed(outcomes: Outcomes) -> set[str]:
    """The tests that failed on a side and are not known to differ."""
    return without_parameters(test for test, outcome in outcomes.items() if outcome == "failed") - reasons().keys()


def without_parameters(tests: Iterable[str]) -> set[str]:
    return {test.partition("[")[0] for test in tests}


def read_junit(results: Path) -> Outcomes:
    """What a JUnit file says. An error of a fixture counts as a failure, before and after its test."""
    outcomes: Outcomes = {}
    for case in ElementTree.parse(results).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        name = _name(case.attrib["classname"], case.attrib["name"])
        outcomes[name] = "failed" if "failed" in (outcome, outcomes.get(name)) else outcome
    return outcomes


def _name(where: str, test: str) -> str:
    """``tests.integration.agents.test_it.TestIt`` -> ``agents/test_it.py::TestIt::test``."""
    _, _, suite, module, *classes = where.split(".")
    return "::".join([f"{suite}/{module}.py", *classes, test])
