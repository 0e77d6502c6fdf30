"""``k8gentai drill`` against a stack that runs and has workers of its own."""

import asyncio
import json
import os
import subprocess
import sys


async def drill(stack, tmp_path, *options):
    """Run a drill of the agent ``ledger``. Returns its report."""
    message = f"Enter 3 lines in {tmp_path / 'book.txt'}."
    arguments = ["--workers", "2", "--every", "1", "--message", message, "--json", *options]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "k8gentai.stack.commands.cli", "drill", "ledger", *arguments],
        cwd=tmp_path,
        env={**os.environ, **stack.environment, "AMF_STACK_URL": stack.server.url},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


async def test_a_drill_of_a_users_agent_reports_that_every_promise_was_kept(stack, http, tmp_path):
    report = await drill(stack, tmp_path, "--turns", "16")
    assert report["ended"] == {"completed": 16}
    assert report["strikes"]["worker killed"] >= 1
    assert report["findings"] == []
    assert report["attempts_on_own_workers"] >= 1
    # What nothing is wrong with is not left to the user.
    assert (await http.get("/v1/responses", params={"model": "ledger"})).json()["data"] == []


async def test_errors_of_redis_dead_links_and_a_server_that_goes_away_break_no_promise(stack, tmp_path):
    """Of the drill's own workers: others of the stack see nothing of it."""
    report = await drill(
        stack, tmp_path, "--turns", "40", "--at-once", "3", "--faults", "redis-errors,server,link"
    )
    assert report["ended"] == {"completed": 40}
    assert report["findings"] == []
    assert report["strikes"]["Redis answered OOM"] >= 1
