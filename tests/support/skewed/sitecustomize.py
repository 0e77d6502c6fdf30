"""Sets the clock of a process: ``TEST_CLOCK_AHEAD`` says by how many seconds. On its ``PYTHONPATH``."""

import os
import time

_ahead = float(os.environ.get("TEST_CLOCK_AHEAD") or 0)
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _ahead
time.time_ns = lambda: _time_ns() + int(_ahead * 1e9)
