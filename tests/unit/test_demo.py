"""`scallion demo`: what a newcomer sees, made up and with a real server's answers."""

from __future__ import annotations

import pytest

from scallion.__main__ import main
from support.upstream import Received, Upstream, completion, completion_stream, error


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr("scallion._cli.demo.DELAY", 0.0)
    monkeypatch.setattr("scallion._cli.demo.WAIT", 0.0)


def section(shown: str, title: str) -> list[str]:
    """The lines under a heading."""
    lines = iter(shown.splitlines())
    next(line for line in lines if line.startswith(title))
    found = []
    for line in lines:
        if not line:
            break
        found.append(line)
    return found


def test_it_runs_without_a_key_and_shows_the_onion_outermost_first(capsys):
    assert main(["demo"]) == 0
    onion = [line.strip("│ ") for line in section(capsys.readouterr().out, "The onion")]
    names = ["narrate", "redact", "cost", "fallback", "retry", "fake"]
    assert [line.partition("(")[0] for line in onion] == names


def test_its_table_has_every_attempt_and_what_became_of_it(capsys):
    main(["demo"])
    rows = [line.split() for line in section(capsys.readouterr().out, "Every attempt")[2:]]
    assert [[*row[:2], row[3], row[-1][0]] for row in rows] == [
        ["1", "shaky", "OverloadedError", "$"],
        ["1", "shaky", "OverloadedError", "$"],
        ["1", "onion", "completed", "$"],
        ["2", "shaky", "RateLimitError", "$"],
        ["2", "onion", "completed", "$"],
        ["3", "shaky", "StreamInterruptedError", "~"],
        ["4", "onion", "completed", "$"],
        ["5", "onion", "cached", "$"],
    ]
    # 26 tokens at $2.50 a million, and 53 at $10.
    assert rows[2][-3:] == ["26", "53", "$0.00060"]
    assert rows[-1][-3:] == ["26", "53", "$0.00000"]


def test_a_stream_that_breaks_shows_what_had_come_of_it(capsys):
    main(["demo"])
    lines = section(capsys.readouterr().out, "3  ")
    assert "StreamInterruptedError: the connection broke (injected)" in lines[-2]
    assert ".partial.text: 'Cutting an onion" in lines[-1]


def test_complete_and_streamed_answers_are_redacted_alike(capsys):
    main(["demo"])
    shown = capsys.readouterr().out
    complete = [line for line in section(shown, "1  ") if "·" not in line]
    streamed = [line for line in section(shown, "2  ") if "·" not in line]
    assert complete == streamed
    assert "[redacted]" in complete[-1]
    assert "chef@" not in complete[-1]


def test_every_line_fits_into_80_columns(capsys):
    main(["demo"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_budget_refuses_before_anything_is_sent(capsys):
    main(["demo"])
    shown = capsys.readouterr().out
    assert any("BudgetExceededError: " in line for line in section(shown, "5  "))
    assert section(shown, "Every attempt")[-1].startswith("5")


def test_a_real_model_answers_the_same_calls(capsys, monkeypatch):
    def answer(request: Received):
        reply = completion_stream if request.json.get("stream") else completion
        text = "The gas. More from chef@example.org"
        return reply(text, usage=(21, 8), model="gpt-4o-2024-08-06")

    with Upstream(default=answer) as upstream:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{upstream.url}/v1")
        assert main(["demo", "--model", "openai/gpt-4o"]) == 0
        assert [request.json["model"] for request in upstream.requests] == ["gpt-4o"] * 3
    shown = capsys.readouterr().out
    assert "  The gas. More from [redacted]" in section(shown, "1  ")
    assert "  The gas. More from [redacted]" in section(shown, "2  ")
    table = section(shown, "Every attempt")
    billed = [row.split()[-3:] for row in table if "gpt-4o" in row]
    assert billed == [["21", "8", "$0.00013"]] * 3 + [["21", "8", "$0.00000"]]


def test_a_wrong_key_is_one_line_and_exit_code_2(capsys, monkeypatch):
    with Upstream(default=error(401, code="invalid_api_key", message="Wrong key")) as upstream:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{upstream.url}/v1")
        assert main(["demo", "--model", "openai/gpt-4o"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("scallion demo: ")
    assert "Wrong key (status 401" in line
