"""``k8gentai conformance``, as a third party runs it for its own adapter."""

import asyncio
import json
import os
import shutil
import subprocess
import sys

from tests.support.processes import ROOT

THIRD_PARTY = "tests.conformance.third_party"


async def conformance(*arguments, directory):
    """Run the command in a third party's directory. Returns its exit code, and what it printed to each stream."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "k8gentai.stack.commands.cli", "conformance", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


async def test_a_third_partys_adapter_passes(tmp_path):
    code, printed, said = await conformance(f"{THIRD_PARTY}.adapter", directory=tmp_path)
    assert code == 0, printed + said
    assert said == ""
    assert "0 failed" in printed
    assert "not possible: loop: A loop's agent has only its own tools." in printed


async def test_a_careless_adapter_fails_where_it_is_careless(tmp_path):
    theirs = tmp_path / "conformance"
    shutil.copytree(ROOT / "tests/conformance/third_party/conformance", theirs)
    for path in theirs.glob("*.yaml"):
        path.write_text(path.read_text().replace("framework: loop", "framework: careless"))
    only = ("--only", "text answers", "--only", "results", "--only", "approval of")
    code, printed, said = await conformance(
        f"{THIRD_PARTY}.careless:CarelessAdapter", "--agents", str(theirs), "--json", *only, directory=tmp_path
    )
    assert code == 1, said
    outcomes = json.loads(printed)
    by_capability = {}
    for outcome in outcomes:
        by_capability.setdefault(outcome["capability"], set()).add(outcome["state"])
    assert by_capability["text answers"] == {"passed"}
    assert by_capability["approval of tool calls by a person"] == {"failed"}
    reasons = {outcome["check"]: outcome["reason"] for outcome in outcomes if outcome["state"] == "failed"}
    for check in ("a call runs once", "a denied call does not run and the model is told why"):
        assert "was run past the tool boundary" in reasons[check]
