"""What holds for all tests."""

import os
import signal

from hypothesis import settings

# A shell has those ignore Ctrl-C that it starts in the background, and their children inherit it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that is busy with something else for half a second proves nothing; speed is measured in
# tests/benchmarks. And the same commit gets the same verdict twice: chance looks for new examples
# where it is asked to, with SCALLION_HOSTILE (see hostile/effort.py).
settings.register_profile(
    "scallion", deadline=None, derandomize="SCALLION_HOSTILE" not in os.environ
)
settings.load_profile("scallion")
