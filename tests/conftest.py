"""What tests with real processes share: the scripted model, and what a failure shows."""

import signal
import uuid

import hypothesis
import pytest

from tests.scripted import ScriptedModel
from tests.support.grouping import ByStack
from tests.support.sentinels import Failover
from tests.support.valkey import Valkey

# Every run tries the same examples, so that a change is what fails it; ``--hypothesis-profile=explore`` tries many
# others.
hypothesis.settings.register_profile("repeatable", max_examples=100, deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", max_examples=5000, deadline=None)
hypothesis.settings.load_profile("repeatable")


def pytest_configure():
    # A run that is ended, as CI's time limit does, stops its processes as one that is interrupted does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_xdist_make_scheduler(config, log):
    return ByStack(config, log)


@pytest.fixture(scope="session")
def model():
    """The scripted model of all tests."""
    server = ScriptedModel()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    """A Valkey for tests of what our processes do in Redis, without such processes."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def failover(tmp_path):
    """A primary, its replica, and a Sentinel."""
    directory = tmp_path / "failover"
    directory.mkdir()
    made = Failover(directory)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def key():
    """A name for this test's script: ``[[key]]`` in a prompt makes the model answer by it."""
    return f"k{uuid.uuid4().hex[:12]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the processes' logs with a failure."""
    report = yield
    if report.failed:
        for name in ("own_stack", "stack"):
            if name in getattr(item, "funcargs", {}):
                report.sections.append((f"logs of {name}", item.funcargs[name].logs()))
    return report
