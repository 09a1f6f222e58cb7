"""`scallion doctor`: what is usable, said without a secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from scallion.__main__ import main
from scallion._cli import doctor

pytestmark = pytest.mark.processes

CANARY = "sk-canary-7f3a9c2e5b8d1f60"
VARIABLES = [
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENROUTER_API_KEY"),
    *("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "OPENROUTER_BASE_URL", "REDIS_URL"),
]


@pytest.fixture(autouse=True)
def _nothing_set_up(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def asked(capsys):
    code = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    return code, report, {(f["kind"], f["name"]): f for f in report["findings"]}


def test_without_a_key_it_says_so_and_exits_with_1(capsys):
    code, report, found = asked(capsys)

    assert (code, report["ok"]) == (1, False)
    assert found["key", "openai"]["state"] == "absent"
    assert found["SDK", "openai"]["state"] == found["SDK", "anthropic"]["state"] == "ok"
    assert found["store", "sqlite"]["state"] == "ok"
    assert found["price table", "built in"]["state"] == "ok"
    assert found["price table", "built in"]["detail"].startswith("from genai-prices ")


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENROUTER_API_KEY"])
def test_with_one_key_all_is_well(capsys, monkeypatch, name):
    monkeypatch.setenv(name, CANARY)
    code, report, _ = asked(capsys)

    assert (code, report["ok"]) == (0, True)
    assert name in str(report)


@pytest.mark.parametrize(
    "address", ["localhost:8000/v1", "http://", f"http://user:pa/{CANARY}@host/v1", "http://[bad"]
)
def test_an_address_that_cannot_be_one_is_broken_whatever_the_key(capsys, monkeypatch, address):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-good")
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    code, report, found = asked(capsys)

    assert (code, found["key", "openai"]["state"]) == (1, "broken")
    assert found["key", "openai"]["detail"].startswith("OPENAI_BASE_URL is no URL")
    assert CANARY not in str(report)


def test_it_runs_as_a_command_and_shows_no_secret():
    variables = {
        "OPENAI_API_KEY": CANARY,
        "OPENAI_BASE_URL": f"http://user:{CANARY}@127.0.0.1:1/v1?key={CANARY}",
        "REDIS_URL": f"redis://:{CANARY}@127.0.0.1:1/0",
    }
    for arguments in (["doctor"], ["doctor", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "scallion", *arguments],
            capture_output=True, text=True, check=False, timeout=60, env=os.environ | variables,
        )  # fmt: skip
        assert done.returncode == 1  # nobody answers at REDIS_URL
        assert "127.0.0.1:1/v1" in done.stdout
        assert CANARY not in done.stdout + done.stderr
        assert done.stderr == ""


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (f"{CANARY}\n", "line break"), (f'"{CANARY}"', "quotation marks"),
        ("sk with spaces", "characters"), ("sk\u2013dash", "characters"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_work_is_broken(capsys, monkeypatch, key, fault):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    code, _, found = asked(capsys)

    assert (code, found["key", "openai"]["state"]) == (1, "broken")
    assert fault in found["key", "openai"]["detail"]


def test_an_address_that_is_none_is_said(capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://[bad")
    _, _, found = asked(capsys)

    assert "OPENAI_BASE_URL" in found["key", "openai"]["detail"]


def test_an_sdk_that_cannot_be_imported_or_is_too_old_is_broken(capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setitem(sys.modules, "anthropic", None)
    monkeypatch.setattr(
        doctor, "version", lambda name: {"openai": "2.9.1"}.get(name, "99.0") if name else ""
    )
    code, _, found = asked(capsys)

    assert code == 1
    assert "cannot be imported" in found["SDK", "anthropic"]["detail"]
    assert found["SDK", "openai"]["detail"].startswith("2.9.1 is not ")


@pytest.mark.parametrize(
    ("found", "within"), [("3.0.0", True), ("3.99", True), ("2.9", False), ("4.0", False)]
)
def test_ranges_are_those_of_the_project(found, within):
    wanted = doctor._wanted("openai")

    assert sorted(wanted.split(",")) == ["<4", ">=3.0"]
    assert doctor._is_within(found, wanted) is within


def test_stores_that_do_not_work_are_broken(capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setattr(doctor, "PATIENCE", 0.2)
    monkeypatch.setenv("REDIS_URL", f"redis://:{CANARY}@127.0.0.1:1/0")
    monkeypatch.setattr("scallion.stores._sqlite.SQLiteStore.set", lambda *_, **__: 1 / 0)
    code, _, found = asked(capsys)

    assert code == 1
    assert "StoreError" in found["store", "redis"]["detail"]
    assert "ZeroDivisionError" in found["store", "sqlite"]["detail"]


def test_a_redis_that_answers_is_usable(capsys, monkeypatch):
    from support.valkey import Valkey

    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with Valkey() as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        code, _, found = asked(capsys)

    assert (code, found["store", "redis"]["state"]) == (0, "ok")


def test_what_is_not_installed_is_named_with_the_way_to_get_it(capsys, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr("scallion._tokens_ranks.provide", lambda name: False)
    monkeypatch.setattr("scallion.costs.load_prices", lambda given: 1 / 0)
    _, _, found = asked(capsys)

    assert "scallion[redis]" in found["store", "redis"]["detail"]
    assert "scallion[offline]" in found["tokenizer", "o200k_base"]["detail"]
    assert found["price table", "built in"]["state"] == "broken"


def test_the_page_for_people_says_what_is_missing(capsys, monkeypatch):
    main(["doctor"])
    assert "There is no key" in capsys.readouterr().out
    monkeypatch.setenv("OPENAI_API_KEY", "'k'")
    monkeypatch.setattr("scallion._tokens_ranks.provide", lambda name: 1 / 0)
    main(["doctor"])
    assert "BROKEN" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert main(["doctor"]) == 0
    assert "All that is set up works." in capsys.readouterr().out
