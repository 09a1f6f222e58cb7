"""Prints what loading the model data and pricing a call take (python tests/benchmarks/cost_speed.py)."""

from __future__ import annotations

import subprocess
import sys
import time
import timeit

LOAD = """
import time
import scallion.types
start = time.perf_counter()
from scallion._models import model_info
assert model_info("gpt-4o")
print(time.perf_counter() - start)
"""


def main() -> None:
    loads = [
        float(subprocess.run([sys.executable, "-c", LOAD], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    print(f"first model_info(), import included: {min(loads) * 1e3:.1f} ms (goal: 15)")

    from scallion.costs import calculate_cost, price
    from scallion.types import CompletionTokensDetails, PromptTokensDetails, Usage

    usage = Usage(
        prompt_tokens=120_000,
        completion_tokens=3_000,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=90_000, cache_write_tokens=20_000, cache_write_1h_tokens=1_000
        ),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=2_000),
    )
    start = time.perf_counter()
    assert price("claude-sonnet-4-5", usage)
    print(f"first price(): {(time.perf_counter() - start) * 1e3:.2f} ms")
    calls = {
        "price(), six kinds of tokens and steps": lambda: price("claude-sonnet-4-5", usage),
        "price(), flex": lambda: price("gpt-6-sol", usage, service_tier="flex"),
        "calculate_cost()": lambda: calculate_cost("gpt-4o", 1_000, 100),
    }
    for name, call in calls.items():
        best = min(timeit.repeat(call, number=5_000, repeat=5)) / 5_000
        print(f"{name}: {best * 1e6:.1f} µs (goal: 10)")


if __name__ == "__main__":
    main()
