"""What an interpreter loads: that of `import scallion` and nothing of the environment around it."""

from __future__ import annotations

import subprocess
import sys


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded because of `statement`."""
    code = (
        f"before = set(sys.modules)\n{statement}\n"
        "print(*sorted(set(sys.modules) - before - {'__future__'}))"
    )
    # -S and -E: what site-packages' .pth files and the environment load is not ours. The path is
    # handed over by hand instead.
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-c", path + _editable_finder() + code],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(finished.stdout.split())


def _editable_finder() -> str:
    """The code that makes an editable install importable, which a .pth file would have run."""
    for finder in sys.meta_path:
        module = getattr(finder, "__module__", "")
        if module.startswith("__editable___scallion"):
            # What it needs itself must not hide that scallion imports that, too.
            return (
                f"before = set(sys.modules); import {module}; {module}.install()\n"
                "for name in set(sys.modules) - before: del sys.modules[name]\n"
            )
    return ""
