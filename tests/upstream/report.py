"""The table of both sides, and what passes with the builtin provider only."""

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.processes import ROOT
from tests.upstream.sides import Outcomes

DOCUMENT = ROOT / "docs" / "upstream.md"
_BEGIN, _END = "<!-- python -m tests.upstream -->\n", "<!-- end -->"
REASONS = Path(__file__).with_name("differences.toml")
"""Test, without parameters -> why it passes with the builtin provider and not with ours."""
KINDS = ("passed", "failed", "skipped")


def reasons() -> dict[str, str]:
    """What is known to differ."""
    return tomllib.loads(REASONS.read_text())


def differences(builtin: Outcomes, ours: Outcomes) -> list[str]:
    """The tests, with parameters, that pass with the builtin provider and not with ours."""
    return sorted(name for name, outcome in builtin.items() if outcome == "passed" != ours.get(name))


def without_parameters(tests: Iterable[str]) -> list[str]:
    return sorted({test.partition("[")[0] for test in tests})


def markdown(builtin: Outcomes, ours: Outcomes, why: Mapping[str, str]) -> str:
    """The table of both, and the reason of each difference."""
    lines = [
        "| | builtin passed | failed | skipped | ours passed | failed | skipped |",
        "|---|---|---|---|---|---|---|",
    ]
    places = {f"`{file}`": file for file in sorted({test.partition("::")[0] for test in builtin})}
    for name, file in {**places, "all": ""}.items():
        lines += [_row(name, [_counts(side, file) for side in (builtin, ours)])]
    if why:
        lines += ["", "What passes with the builtin provider only:", ""]
        lines += [f"- `{test}`: {reason}" for test, reason in sorted(why.items())]
    return "\n".join(lines)


def document(table: str) -> str:
    """The documentation with another table in its place."""
    text = DOCUMENT.read_text()
    before, after = text.partition(_BEGIN)[0], text.partition(_END)[2]
    return f"{before}{_BEGIN}\n{table}\n\n{_END}{after}"


def _counts(side: Outcomes, file: str) -> Counter[str]:
    return Counter(outcome for test, outcome in side.items() if test.startswith(file))


def _row(name: str, sides: Iterable[Counter[str]]) -> str:
    return f"| {name} | {' | '.join(str(side[kind]) for side in sides for kind in KINDS)} |"
