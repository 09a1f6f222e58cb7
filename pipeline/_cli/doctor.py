"""`scallion doctor`: which SDKs, keys, stores and tokenizers are usable here."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ._terminal import Terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

EXAMPLES = """\
examples:
  scallion doctor
  scallion doctor --json
  scallion doctor > /dev/null && python my_app.py

Nothing is sent to a provider, and no secret is shown. REDIS_URL is asked whether it answers.

Exit codes: 0 all that is set up works, and there is a key; 1 something does not, or there is none.
"""

State = Literal["ok", "broken", "absent"]

MARKS: dict[State, str] = {"ok": "ok", "broken": "BROKEN", "absent": "-"}

PATIENCE = 3.0
"""Seconds for a store to answer."""


class Finding(NamedTuple):
    """One thing that was looked at. What is `absent` is optional, and was not set up."""

    kind: str
    name: str
    state: State
    detail: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Say which SDKs, keys, stores and tokenizers are usable."
    parser.epilog = EXAMPLES
    parser.add_argument("--json", action="store_true", help="write the findings as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Look at everything. Returns the exit code."""
    findings = [*_sdks(), *_keys(), *_stores(), *_tokenizers(), *_prices()]
    keyed = any(each.kind == "key" and each.state == "ok" for each in findings)
    sound = not any(each.state == "broken" for each in findings)
    if arguments.json:
        report = {
            "ok": keyed and sound,
            "python": sys.version.split()[0],
            "scallion": _version("scallion"),
            "findings": [each._asdict() for each in findings],
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _write(findings, keyed=keyed, sound=sound)
    return 0 if keyed and sound else 1


def _write(findings: list[Finding], *, keyed: bool, sound: bool) -> None:
    terminal = Terminal()
    terminal.line(f"scallion {_version('scallion')}, Python {sys.version.split()[0]}")
    kind = None
    for each in findings:
        if each.kind != kind:
            kind = each.kind
            terminal.title(f"{kind}s")
        mark = f"{MARKS[each.state]:<7}"
        mark = terminal.bold(mark) if each.state == "broken" else mark
        terminal.line(f"  {mark} {each.name:<12} {each.detail}")
    terminal.line()
    if not keyed:
        terminal.line(
            "There is no key: only fake/… models, and servers that want none, can be asked."
        )
    if not sound:
        terminal.line("What is BROKEN was set up, and does not work.")
    if keyed and sound:
        terminal.line("All that is set up works.")


# ------------------------------------------------------------------------------------- findings


def _sdks() -> Iterator[Finding]:
    for name in ("openai", "anthropic", "aiohttp"):
        try:
            import_module(name)
        except Exception as error:  # noqa: BLE001 - whatever an import may raise
            detail = f"cannot be imported: {type(error).__name__}: {error}"
            yield Finding("SDK", name, "broken", f"{detail}; pip install --upgrade scallion")
            continue
        found, wanted = _version(name), _wanted(name)
        if found is not None and wanted and not _is_within(found, wanted):
            yield Finding("SDK", name, "broken", f"{found} is not {wanted}, which is wanted")
        else:
            yield Finding("SDK", name, "ok", found or "")


def _keys() -> Iterator[Finding]:
    from scallion.providers._errors import shown_url

    for provider, names, address in (
        ("openai", ("OPENAI_API_KEY",), "OPENAI_BASE_URL"),
        ("anthropic", ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"), "ANTHROPIC_BASE_URL"),
        ("openrouter", ("OPENROUTER_API_KEY",), "OPENROUTER_BASE_URL"),
    ):
        url = os.environ.get(address)
        where = f", {address} is {shown_url(url)}" if url else ""
        name = next((name for name in names if os.environ.get(name)), None)
        if url and (wrong := _fault_of_address(address, url)):
            yield Finding("key", provider, "broken", wrong)
        elif name is None:
            yield Finding("key", provider, "absent", f"{names[0]} is not set{where}")
        elif fault := _fault(os.environ[name]):
            yield Finding("key", provider, "broken", f"{name} {fault}")
        else:
            yield Finding("key", provider, "ok", f"{name} is set{where}")


def _fault_of_address(variable: str, url: str) -> str | None:
    from scallion.exceptions import InvalidRequestError
    from scallion.providers._config import check_address

    try:
        check_address(variable, url)
    except InvalidRequestError as error:
        return error.message
    return None


def _fault(key: str) -> str | None:
    """What is wrong with a key, as far as that shows without asking."""
    if key != key.strip():
        return "has spaces or a line break around it"
    if key[0] in "\"'" or key[-1] in "\"'":
        return "has quotation marks around it"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "has characters that no header can have"
    return None


def _stores() -> Iterator[Finding]:
    yield Finding("store", "memory", "ok", "")
    with tempfile.TemporaryDirectory() as folder:
        yield _sqlite(Path(folder))
    yield _redis()


def _sqlite(folder: Path) -> Finding:
    import sqlite3

    from scallion.stores import sqlite

    async def work() -> None:
        async with sqlite(folder / "doctor.db") as store:
            await store.set("key", b"value")
            assert await store.get("key") == b"value"

    try:
        asyncio.run(asyncio.wait_for(work(), PATIENCE))
    except Exception as error:  # noqa: BLE001
        return Finding("store", "sqlite", "broken", f"{type(error).__name__}: {error}")
    return Finding("store", "sqlite", "ok", f"SQLite {sqlite3.sqlite_version}")


def _redis() -> Finding:
    asked = bool(os.environ.get("REDIS_URL"))
    if find_spec("redis") is None:
        detail = "the package is not installed: pip install 'scallion[redis]'"
        return Finding("store", "redis", "broken" if asked else "absent", detail)
    if not asked:
        return Finding("store", "redis", "absent", f"{_version('redis')}; REDIS_URL is not set")
    from scallion.stores import redis

    async def work() -> str:
        async with redis(timeout=PATIENCE) as store:
            await store.get("scallion doctor")
            return store.url

    try:
        url = asyncio.run(work())
    except Exception as error:  # noqa: BLE001
        return Finding("store", "redis", "broken", f"REDIS_URL: {type(error).__name__}: {error}")
    return Finding("store", "redis", "ok", f"{_version('redis')}; {url} answers")


def _tokenizers() -> Iterator[Finding]:
    from scallion._tokens_ranks import provide

    for name, models in (("o200k_base", "gpt-4o and later"), ("cl100k_base", "gpt-4, gpt-3.5")):
        try:
            there = provide(name)
        except Exception as error:  # noqa: BLE001
            yield Finding("tokenizer", name, "broken", f"{type(error).__name__}: {error}")
            continue
        if there:
            yield Finding("tokenizer", name, "ok", f"{models}: its ranks are on this machine")
        else:
            detail = f"{models}: downloaded at first use; offline: pip install 'scallion[offline]'"
            yield Finding("tokenizer", name, "absent", detail)


def _prices() -> Iterator[Finding]:
    from scallion.costs import load_prices

    try:
        row = load_prices(None).row("gpt-4o")
    except Exception as error:  # noqa: BLE001
        yield Finding("price table", "built in", "broken", f"{type(error).__name__}: {error}")
    else:
        yield Finding("price table", "built in", "ok", f"from {row.source}" if row else "")
    found = _version("genai-prices")
    state: State = "ok" if found else "absent"
    yield Finding("price table", "genai-prices", state, found or "pip install 'scallion[prices]'")


# -------------------------------------------------------------------------------------- versions


def _version(name: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(name)
    return None


def _wanted(name: str) -> str:
    """The range of versions that Scallion declares for a package, such as `>=3.0,<4`."""
    with suppress(PackageNotFoundError):
        for requirement in requires("scallion") or ():
            found = re.match(
                r"([\w.-]+)(?:\[[^]]*\])?\s*\(?([<>=!~\d.,\s]*)\)?\s*(;.*)?$", requirement
            )
            if found and found[1] == name and not found[3]:
                return found[2].strip()
    return ""


def _is_within(found: str, wanted: str) -> bool:
    for bound in wanted.split(","):
        operator, number = re.fullmatch(r"\s*([<>=]+)\s*([\d.]+)\s*", bound).groups()  # type: ignore[union-attr]
        if operator == ">=" and _numbers(found) < _numbers(number):
            return False
        if operator == "<" and _numbers(found) >= _numbers(number):
            return False
    return True


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)[:3]]
