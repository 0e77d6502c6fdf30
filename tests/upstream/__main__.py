"""``python -m tests.upstream``: runs Llama Stack's own tests on both providers and writes the table of what they
showed into the documentation. Ends with 1 where something differs that has no reason there."""

import sys
import tempfile
from pathlib import Path

from tests.upstream.outcomes import differences, reasons, without_parameters
from tests.upstream.report import DOCUMENT, document, markdown
from tests.upstream.sides import run_builtin, run_ours


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        sides = []
        for name, run in (("builtin", run_builtin), ("ours", run_ours)):
            place = Path(directory) / name
            place.mkdir()
            sides.append(run(place))
    builtin, ours = sides
    why = reasons()
    DOCUMENT.write_text(document(markdown(builtin, ours, why)))
    differing = differences(builtin, ours)
    sys.stdout.writelines(f"{test}\n" for test in differing)
    return int(without_parameters(differing) != why.keys())


if __name__ == "__main__":
    sys.exit(main())
