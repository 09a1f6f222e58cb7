"""What holds for all tests."""

from hypothesis import settings

# A machine that is busy with something else for half a second proves nothing; speed is measured in
# tests/benchmarks.
settings.register_profile("scallion", deadline=None)
settings.load_profile("scallion")
