"""The table of both sides, and what passes with the builtin provider only."""

from collections import Counter
from collections.abc import Iterable, Mapping

from tests.support.processes import ROOT
from tests.upstream.outcomes import Outcomes

DOCUMENT = ROOT / "docs" / "upstream.md"
_BEGIN, _END = "<!-- python -m tests.upstream -->\n", "<!-- end -->"
KINDS = ("passed", "failed", "skipped")


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
