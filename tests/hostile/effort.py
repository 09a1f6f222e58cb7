"""How hard the hostile tests try: `SCALLION_HOSTILE=20` tries twenty times as much, with new examples."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EFFORT = float(os.environ.get("SCALLION_HOSTILE", "1"))


def examples(count: int) -> settings:
    """So many examples, and in proportion more where more effort is asked for."""
    return settings(
        max_examples=max(1, round(count * EFFORT)),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
