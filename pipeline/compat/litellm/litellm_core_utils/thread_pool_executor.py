"""`executor`, where litellm calls synchronous callbacks: others wait for it. Here nothing is in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

executor = ThreadPoolExecutor(max_workers=100, thread_name_prefix="litellm")
