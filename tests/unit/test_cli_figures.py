"""`scallion models`, `scallion price` and `scallion tokens`: what they say, and to which mistakes."""

from __future__ import annotations

import io
import json
import sys
import warnings

import pytest

from scallion.__main__ import main
from scallion.costs import price
from scallion.tokens import count_tokens, estimate


def run(capsys, *arguments):
    """The exit code, what was written, and what was complained about."""
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    said = capsys.readouterr()
    return code, said.out, said.err


def refused(capsys, *arguments):
    """The one line that a mistake is answered with."""
    code, out, complaint = run(capsys, *arguments)
    assert (code, out) == (2, "")
    (line,) = complaint.splitlines()
    assert line.startswith(f"scallion {arguments[0]}: ")
    return line


# ------------------------------------------------------------------------------------------ price


def test_a_call_is_priced_part_by_part(capsys):
    code, out, _ = run(
        capsys, "price", "gpt-4o", "--input", "1000", "--output", "200", "--cached", "500"
    )
    assert code == 0
    assert [line.split() for line in out.splitlines()[3:]] == [
        ["input", "$0.00125"],
        ["cache", "read", "$0.000625"],
        ["output", "$0.002"],
        ["total", "$0.003875"],
    ]


def test_the_priced_call_is_the_one_of_the_library(capsys):
    options = [
        "--input=1,000", "--output=9_000", "--cached=100", "--cache-write=200",
        "--cache-write-1h=50", "--reasoning=8000", "--searches=2", "--at=2026-01-02", "--json",
    ]  # fmt: skip
    code, out, _ = run(capsys, "price", "anthropic/claude-sonnet-4-5", *options)
    usage = {
        "prompt_tokens": 1_000,
        "completion_tokens": 9_000,
        "prompt_tokens_details": {
            "cached_tokens": 100,
            "cache_write_tokens": 200,
            "cache_write_1h_tokens": 50,
        },
        "completion_tokens_details": {"reasoning_tokens": 8_000},
        "server_tool_use": {"web_search_requests": 2},
    }
    expected = price("claude-sonnet-4-5", usage)
    found = json.loads(out)
    assert code == 0
    assert found["total"] == str(expected.total)
    assert found["breakdown"] == {name: str(part) for name, part in expected.breakdown.items()}
    assert (found["model"], found["exact"]) == ("claude-sonnet-4-5", True)


def test_without_tokens_the_rates_are_shown_with_their_steps(capsys):
    _, out, _ = run(capsys, "price", "claude-sonnet-4-5")
    lines = [line.split() for line in out.splitlines()]
    assert ["input", "$3.00", "1,000,000", "tokens"] in lines
    assert ["input", "$6.00", "1,000,000", "tokens", "above", "200,000", "tokens"] in lines
    assert ["web", "search", "$10.00", "1,000", "searches"] in lines
    _, out, _ = run(capsys, "price", "gpt-4o")
    assert "for prompts" not in out
    _, out, _ = run(capsys, "price", "claude-sonnet-4-5", "--json")
    assert json.loads(out)["rates"]["input"] == [3.0, 200_000.0, 6.0]
    _, out, _ = run(capsys, "price", "claude-opus-4-6")
    assert ["us", "x", "1.1", "inference", "in", "the", "US"] in [
        line.split() for line in out.splitlines()
    ]


def test_a_tier_has_its_own_rates_and_the_providers_own_names_are_the_standard_ones(capsys):
    asked = ("price", "gpt-5", "--input=1000", "--output=0")
    standard, flex, batch, named = (
        run(capsys, *asked, *more)[1]
        for more in ([], ["--tier=flex"], ["--batch"], ["--tier=default"])
    )
    assert "$0.00125" in standard
    assert "gpt-5, openai, flex" in flex
    assert "$0.000625" in flex
    assert "gpt-5, openai, batch" in batch
    assert standard == named
    assert run(capsys, "price", "gpt-5")[1] == run(capsys, "price", "gpt-5", "--tier=auto")[1]


@pytest.mark.parametrize("tokens", [[], ["--input=1000"]])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_tier_without_rates_is_refused_with_those_that_there_are(capsys, tokens, form):
    asked = ("price", "gpt-5", *tokens, *form)
    assert "no 'gold' rates of gpt-5 are known: there are batch, flex, priority" in refused(
        capsys, *asked, "--tier=gold"
    )
    asked = ("price", "gpt-3.5-turbo-instruct", *tokens, *form)
    assert "there are only the standard ones" in refused(capsys, *asked, "--tier=flex")
    code, _, complaint = run(capsys, "price", "gpt-5", "--tier=flex", "--batch")
    assert code == 2
    assert "not allowed with" in complaint


def test_a_route_of_openrouters_is_named_as_such(capsys):
    _, out, _ = run(capsys, "price", "openrouter/openai/gpt-4o:nitro")
    assert "No rates are known for that route" in out


def test_a_prices_file_overrides_the_table(capsys, tmp_path):
    own = tmp_path / "prices.json"
    own.write_text('{"mine*": {"input": 7, "output": 8}}')
    _, out, _ = run(capsys, "price", "mine-2", "--input=1000000", "--prices", str(own), "--json")
    assert json.loads(out)["total"] == "7.000000"
    assert json.loads(out)["source"] == str(own)


def test_searches_alone_can_be_priced(capsys):
    _, out, _ = run(capsys, "price", "claude-sonnet-4-5", "--searches", "100", "--json")
    assert json.loads(out)["total"] == "1.000"


def test_mistakes_about_prices_are_one_line_and_exit_code_2(capsys, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text('{"m": {"inpt": 1}}')
    assert "did you mean gpt-4o" in refused(capsys, "price", "gpt4o")
    assert "claude-sonnet-4-5" in refused(capsys, "price", "anthropic/claude-sonet-4-5")
    assert "scallion models --search" in refused(capsys, "price", "qqqqqq", "--provider=anthropic")
    assert "parts of --input" in refused(capsys, "price", "gpt-4o", "--input=1", "--cached=2")
    assert "parts of --output" in refused(capsys, "price", "gpt-4o", "--reasoning=2")
    assert "part of --cache-write" in refused(
        capsys, "price", "gpt-4o", "--input=5", "--cache-write-1h=2"
    )
    assert "YYYY-MM-DD" in refused(capsys, "price", "gpt-4o", "--at=yesterday")
    assert "No such file" in refused(capsys, "price", "gpt-4o", "--prices=/nowhere.json")
    assert "unknown field `inpt`" in refused(capsys, "price", "gpt-4o", f"--prices={broken}")
    assert "no price for all" in refused(capsys, "price", "gpt-3.5-turbo", "--searches=1")


def test_a_number_that_is_none_is_refused_with_the_usage(capsys):
    code, _, complaint = run(capsys, "price", "gpt-4o", "--input=-5")
    assert code == 2
    assert "must be a whole number from 0, not '-5'" in complaint
    code, _, complaint = run(capsys, "price", "gpt-4o", "--input=many")
    assert "not 'many'" in complaint


def test_a_live_table_that_is_not_installed_says_how_to_get_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.delitem(sys.modules, "scallion._prices_live", raising=False)
    complaint = refused(capsys, "price", "gpt-4o", "--prices=genai-prices")
    assert "pip install 'scallion[prices]'" in complaint


# ----------------------------------------------------------------------------------------- models


def test_models_are_found_by_all_words_of_their_names(capsys):
    search = ("models", "--provider", "openrouter", "--search", "QWEN free")
    code, out, _ = run(capsys, *search)
    found = json.loads(run(capsys, *search, "--json")[1])
    assert code == 0
    assert len(out.splitlines()) == len(found) + 3
    assert found
    assert all("qwen" in each["model"] and "free" in each["model"] for each in found)
    assert {each["provider"] for each in found} == {"openrouter"}
    assert "MIT" in out.splitlines()[-1]


def test_models_show_their_limits_and_prices(capsys):
    _, out, _ = run(capsys, "models", "--provider=openai", "--search=gpt-4o")
    (row,) = [line.split() for line in out.splitlines() if line.startswith("gpt-4o ")]
    assert row == ["gpt-4o", "openai", "128,000", "16,384", "2.50", "10.00"]


def test_models_can_be_chosen_by_what_they_can(capsys):
    _, out, _ = run(capsys, "models", "--can=vision", "--can=reasoning", "--json")
    found = json.loads(out)
    assert found
    assert all(model["vision"] and model["reasoning"] for model in found)
    assert {model["provider"] for model in found} == {"openai", "anthropic", "openrouter"}


def test_models_show_the_prices_of_a_file(capsys, tmp_path):
    own = tmp_path / "prices.json"
    own.write_text('{"gpt-4o": {"input": 7, "output": 8}}')
    _, out, _ = run(capsys, "models", "--search=gpt-4o", "--prices", str(own), "--json")
    prices = {model["model"]: model["input"] for model in json.loads(out)}
    assert (prices["gpt-4o"], prices["gpt-4o-mini"]) == (7.0, 0.15)


def test_no_match_is_said_with_what_comes_close_and_exit_code_1(capsys):
    assert run(capsys, "models", "--search=nonsense") == (1, "", "No model matches.\n")
    assert run(capsys, "models", "--search=nonsense", "--json")[:2] == (1, "[]\n")
    code, out, complaint = run(capsys, "models", "--search=gpt4o")
    assert (code, out) == (1, "")
    assert complaint.startswith("No model matches: did you mean gpt-4o")
    complaint = run(capsys, "models", "--search=clade sonet", "--provider=anthropic")[2]
    assert "did you mean claude-sonnet" in complaint
    complaint = run(capsys, "models", "--search=gpt-4o", "--can=reasoning", "--provider=openai")[2]
    assert complaint == "No model matches: without --can there would be some.\n"


# ----------------------------------------------------------------------------------------- tokens


def test_a_text_is_counted_with_its_price(capsys):
    assert run(capsys, "tokens", "Why is the sky blue?")[:2] == (
        0,
        "6 tokens for gpt-4o, $0.000015 as input\n",
    )


def test_a_file_and_standard_input_are_counted_alike(capsys, tmp_path, monkeypatch):
    text = "Zażółć gęślą jaźń 🧅. " * 50
    file = tmp_path / "text.txt"
    file.write_text(text, "utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    of_file = run(capsys, "tokens", str(file), "--json", "--model=claude-sonnet-4-5")
    assert run(capsys, "tokens", "-", "--json", "--model=claude-sonnet-4-5") == of_file
    found = json.loads(of_file[1])
    assert found["tokens"] == count_tokens(text, "claude-sonnet-4-5") < found["upper"]
    assert (found["exact"], found["characters"]) == (False, len(text))


def test_an_estimate_says_so_and_a_model_without_a_price_shows_none(capsys):
    _, out, _ = run(capsys, "tokens", "Hello there", "--model=openrouter/my/own")
    assert out.startswith("2 tokens for openrouter/my/own, estimated; at most about ")
    assert "$" not in out


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_conversation_is_counted_as_a_prompt(capsys, tmp_path, wrapped):
    messages = [{"role": "user", "content": "Say hello"}]
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"model": "x", "messages": messages} if wrapped else messages))
    _, out, _ = run(capsys, "tokens", str(file), "--messages", "--json")
    assert json.loads(out)["tokens"] == 9


def test_the_tools_of_a_request_are_counted(capsys, tmp_path):
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
    request = {"messages": [{"role": "user", "content": "Say hello"}], "tools": [tool]}
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request))
    _, out, _ = run(capsys, "tokens", str(file), "--messages", "--json")
    assert json.loads(out)["tokens"] > 9


def test_mistakes_about_tokens_are_one_line_and_exit_code_2(capsys, tmp_path):
    binary = tmp_path / "image.bin"
    binary.write_bytes(b"\xff\xd8\xff")
    assert "pipe it" in refused(capsys, "tokens", "promt.txt")
    assert "pipe it" in refused(capsys, "tokens", "no/such")
    assert "is a directory" in refused(capsys, "tokens", str(tmp_path))
    assert "not text in UTF-8" in refused(capsys, "tokens", str(binary))
    assert "takes JSON" in refused(capsys, "tokens", "not json", "--messages")
    assert "messages must be" in refused(capsys, "tokens", '{"prompt": "hi"}', "--messages")
    assert "no role" in refused(capsys, "tokens", '[{"content": "hi"}]', "--messages")


def test_a_file_that_may_not_be_read_is_one_line(capsys, tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "secret.txt"
    file.touch()
    monkeypatch.setattr("pathlib.Path.read_bytes", forbidden)
    assert "cannot be read: Permission denied" in refused(capsys, "tokens", str(file))


@pytest.mark.parametrize("text", ["e.g. this", "3.14", "a" * 5000, "", "What?\0"])
def test_what_is_no_name_of_a_file_is_text(capsys, text):
    code, out, _ = run(capsys, "tokens", text, "--json")
    assert (code, json.loads(out)["characters"]) == (0, len(text))


def test_missing_ranks_are_one_line_beside_the_result(capsys, monkeypatch):
    def approximately(request):
        warnings.warn("tokens are approximated for now", RuntimeWarning, stacklevel=2)
        return estimate(request)

    monkeypatch.setattr("scallion._cli.tokens.estimate", approximately)
    code, out, complaint = run(capsys, "tokens", "Hello there")
    assert (code, out[:8]) == (0, "2 tokens")
    assert complaint == "scallion tokens: tokens are approximated for now\n"
