"""``k8gentai drill`` against a stack that runs and has workers of its own."""

import asyncio
import json
import os
import subprocess
import sys


async def test_a_drill_of_a_users_agent_reports_that_every_promise_was_kept(stack, http, tmp_path):
    message = f"Enter 3 lines in {tmp_path / 'book.txt'}."
    options = ["--turns", "16", "--workers", "2", "--every", "1", "--message", message, "--json"]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "k8gentai.stack.cli", "drill", "ledger", *options],
        cwd=tmp_path,
        env={**os.environ, **stack.environment, "AMF_STACK_URL": stack.server.url},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["ended"] == {"completed": 16}
    assert report["strikes"]["worker killed"] >= 1
    assert report["findings"] == []
    assert report["attempts_on_own_workers"] >= 1
    # What nothing is wrong with is not left to the user.
    assert (await http.get("/v1/responses", params={"model": "ledger"})).json()["data"] == []
