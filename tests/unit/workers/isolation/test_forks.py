"""A child that agents' code forks lives as long as its worker, and no longer."""

import subprocess
import sys

PROGRAM = """
import multiprocessing, os, signal, threading
from k8gentai.workers.isolation.forks import end_forks_with_worker

end_forks_with_worker()
processes = multiprocessing.get_context("fork")
thread_is_over, going_on = processes.Event(), processes.Event()

def child():
    thread_is_over.wait()
    print("the child goes on", flush=True)
    processes.Process(target=grandchild).start()

def grandchild():
    print("so does its own", flush=True)
    going_on.set()
    processes.Event().wait()

thread = threading.Thread(target=processes.Process(target=child).start)
thread.start()
thread.join()
thread_is_over.set()
going_on.wait()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_with_a_worker_that_is_killed_and_not_before():
    # Whoever lives has the pipe that is read to its end here.
    done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout == "the child goes on\nso does its own\n"


DESCENDANTS = """
import os
from k8gentai.workers.isolation.forks import end_forks_with_worker

end_forks_with_worker()
if os.fork() == 0:
    file = open("/etc/passwd")
    if os.fork() == 0:
        print("read" if file.read() else "", flush=True)
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
"""


def test_files_that_a_child_opens_are_open_in_its_own_children():
    done = subprocess.run([sys.executable, "-c", DESCENDANTS], capture_output=True, text=True, timeout=60)
    assert done.stdout == "read\n"


SIGNALS = """
import asyncio, multiprocessing, os, signal
from k8gentai.workers.isolation.forks import end_forks_with_worker

processes = multiprocessing.get_context("fork")

def end(signum):
    waiting = processes.Process(target=processes.Event().wait)
    waiting.start()
    os.kill(waiting.pid, signum)
    waiting.join()
    return waiting.exitcode

def pool():
    with processes.Pool(2) as pool:
        return pool.map(len, ["a", "bb", "ccc"])

async def main():
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, print, "the worker was told to end")
    end_forks_with_worker()
    for signum in 10 * [signal.SIGTERM, signal.SIGINT]:
        assert await asyncio.to_thread(end, signum) == -signum
    for _ in range(5):
        assert await asyncio.to_thread(pool) == [1, 2, 3]
    os.kill(os.getpid(), signal.SIGTERM)

asyncio.run(main())
"""


def test_a_signal_that_ends_a_child_ends_it_and_not_the_worker():
    done = subprocess.run([sys.executable, "-c", SIGNALS], stdout=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "the worker was told to end\n")
