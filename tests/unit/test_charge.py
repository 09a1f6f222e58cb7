"""What an attempt is billed: by the server's count where that can be believed, else by an estimate."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from scallion import Attempt, Request
from scallion import exceptions as e
from scallion.costs import PriceTable
from scallion.middlewares._charge import charge_of
from scallion.tokens import count_tokens
from scallion.types import (
    Choice,
    FunctionCall,
    Message,
    ModelResponse,
    ToolCall,
    Usage,
)


@pytest.fixture
def prices():
    table = PriceTable()
    table.register("m", input=1, output=10)
    table.register("answered", input=2, output=20)
    return table


def usage(prompt, completion, **fields):
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        **fields,
    )


def said(*reasons, text="Hello there", **fields):
    choices = [
        Choice(index=n, message=Message(content=text), finish_reason=reason)
        for n, reason in enumerate(reasons)
    ]
    return ModelResponse(choices=choices, **fields)


def attempt(status, response=None, *, error=None):
    counted = response.usage if response is not None else None
    return Attempt(
        model="m", provider="p", status=status, response=response, usage=counted, error=error,
        exact=status == "completed" and counted is not None,
    )  # fmt: skip


def bill(tried, prices, **params):
    return charge_of(tried, Request("m", "a question of some length", params), prices)


@pytest.mark.parametrize(
    ("error", "exact"),
    [
        (e.RateLimitError("no", status_code=429), True),
        (e.InvalidRequestError("no", status_code=400), True),
        (e.MalformedResponseError("no", status_code=200), False),
        (e.MalformedResponseError("no", status_code=399), False),
        (e.ConnectionError("no"), False),
        (ValueError("no"), False),
    ],
)
def test_what_was_never_answered_costs_nothing_and_surely_so_where_the_server_refused(
    prices, error, exact
):
    for empty in (None, ModelResponse(choices=[])):
        charge = bill(attempt("failed", empty, error=error), prices)
        assert (charge.usage, charge.cost.total, charge.exact) == (None, 0, exact)
        unpriced = bill(attempt("failed", empty, error=error), PriceTable())
        assert (unpriced.cost is not None, unpriced.exact) == (exact, exact)


def test_a_status_of_an_attempt_that_did_not_fail_is_no_refusal(prices):
    refused = e.RateLimitError("no", status_code=429)
    assert not bill(attempt("cancelled", error=refused), prices).exact


def test_a_usage_without_any_choice_is_billed(prices):
    tried = attempt("completed", ModelResponse(choices=[], usage=usage(7, 3)))
    charge = bill(tried, prices)
    assert (charge.usage, charge.exact) == (usage(7, 3), True)
    assert charge.cost.total == Decimal("0.000037")


@pytest.mark.parametrize(
    ("counted", "reasons", "params"),
    [
        (usage(7, 3), ["stop"], {}),
        (usage(7, 0), ["stop"], {}),  # nothing was generated, and the server says so
        (usage(7, 3), ["stop"], {"n": 2}),  # a server that knows no n
        (usage(7, 3), [None], {}),
    ],
)
def test_a_completed_answer_is_billed_as_counted(prices, counted, reasons, params):
    charge = bill(attempt("completed", said(*reasons, usage=counted)), prices, **params)
    assert (charge.usage, charge.exact) == (counted, True)


@pytest.mark.parametrize("counted", [None, usage(0, 3), usage(0, 3, model_extra={"x": [1]})])
def test_a_completed_answer_that_was_not_counted_is_estimated(prices, counted):
    charge = bill(attempt("completed", said("stop", usage=counted)), prices)
    assert not charge.exact
    assert charge.usage.prompt_tokens > 3
    assert charge.usage.completion_tokens >= 2
    assert charge.usage.total_tokens == sum(
        (charge.usage.prompt_tokens, charge.usage.completion_tokens)
    )


@pytest.mark.parametrize(
    "fields",
    [{"cost": 0.5}, {"model_extra": {"iterations": [{}]}}],
    ids=["cost", "iterations"],
)
def test_a_prompt_of_no_tokens_is_believed_where_something_else_was_counted(prices, fields):
    counted = usage(0, 3, **fields)
    charge = bill(attempt("completed", said("stop", usage=counted)), prices)
    assert (charge.usage, charge.exact) == (counted, True)


@pytest.mark.parametrize("status", ["closed", "abandoned", "cancelled", "failed"])
@pytest.mark.parametrize(
    ("counted", "reasons", "params", "believed"),
    [
        (usage(7, 300), ["stop"], {}, True),
        (usage(7, 300), ["stop", "length"], {"n": 2}, True),
        (usage(7, 300), ["stop"], {"n": 2}, False),  # the other choice may go on
        (usage(7, 300), ["stop", None], {"n": 2}, False),
        (usage(7, 300), ["stop", None], {}, False),
        (usage(7, 300), [None], {}, False),
        (usage(7, 300), ["error"], {}, False),
        (usage(7, 0), ["stop"], {}, False),  # Anthropic's first count
        (usage(7, 0, cost=0.5), ["stop"], {}, True),
        (None, ["stop"], {}, False),
    ],
)
def test_who_leaves_early_is_billed_as_counted_only_after_every_choice_had_ended(
    prices, status, counted, reasons, params, believed
):
    charge = bill(attempt(status, said(*reasons, usage=counted)), prices, **params)
    billed = counted is not None and counted.cost is not None
    assert charge.exact == (billed and status == "failed")  # an error that brings its bill
    if believed:
        assert charge.usage == counted
    else:
        assert charge.usage.completion_tokens >= (counted or usage(0, 0)).completion_tokens
        assert charge.usage.completion_tokens > 0
        assert charge.usage.prompt_tokens == (7 if counted else charge.usage.prompt_tokens)
        assert charge.usage is not counted


def test_everything_that_was_generated_is_counted(prices):
    def generated(**fields):
        whole = ModelResponse(choices=[Choice(message=Message(**fields))])
        return bill(attempt("closed", whole), prices).usage.completion_tokens

    text = "some words that were generated"
    call = ToolCall(id="c", function=FunctionCall(name="", arguments=text))
    named = ToolCall(id="c", function=FunctionCall(name="some_name", arguments=text))
    words = generated(content=text)
    assert words >= 4
    assert generated(refusal=text) == words
    assert generated(reasoning=text) == words
    assert generated(reasoning_content=text) == words
    assert generated(reasoning=text, reasoning_content=text) == words  # it is said twice
    assert generated(tool_calls=[call]) == words
    assert generated(tool_calls=[named]) > words
    assert generated(tool_calls=[ToolCall(id="c", function=None)]) == 0
    assert generated(content=text, refusal=text, reasoning=text, tool_calls=[call]) == 4 * words


@pytest.mark.parametrize(
    ("asked", "adapter", "answered", "by", "counted_as"),
    [
        ("m", None, None, None, "m"),
        (None, None, None, None, "m"),
        ("m", "anthropic", None, None, "claude"),
        ("m", None, None, "anthropic", "claude"),
        ("m", "anthropic", None, "p", "m"),
        ("claude", None, None, None, "claude"),
        ("m", None, "claude", None, "claude"),
        ("claude", None, "m", None, "m"),
    ],
)
def test_an_estimate_counts_as_the_one_that_answered_does_and_else_the_one_that_was_asked(
    prices, asked, adapter, answered, by, counted_as
):
    text = "an unexpectedly long-winded sentence, isn't it"
    expected = count_tokens(text, counted_as)
    assert count_tokens(text, "m") < count_tokens(text, "claude")
    request = Request(asked, "hi", provider=SimpleNamespace(name=adapter))
    tried = attempt("closed", said(None, text=text, model=answered, provider=by))
    assert charge_of(tried, request, prices).usage.completion_tokens == expected


def test_a_handler_without_a_name_is_estimated_as_no_providers(prices):
    request = Request("m", "hi", provider=object())
    assert charge_of(attempt("closed", said(None)), request, prices).usage.completion_tokens > 0


def test_the_model_that_answered_sets_the_price_and_else_the_one_that_was_asked(prices):
    for model, total in (("answered", "0.000074"), ("unheard-of", "0.000037"), (None, "0.000037")):
        tried = attempt("completed", said("stop", model=model, usage=usage(7, 3)))
        assert bill(tried, prices).cost.total == Decimal(total)


def test_without_any_price_nothing_is_exact():
    charge = bill(attempt("completed", said("stop", usage=usage(7, 3))), PriceTable())
    assert (charge.usage, charge.cost, charge.exact) == (usage(7, 3), None, False)


@pytest.mark.parametrize(
    ("asked", "stated", "exact"),
    [
        ("openai/gpt-4o", None, True),
        ("openai/gpt-4o:nitro", None, False),
        ("openai/gpt-4o:nitro", 0.5, True),  # the provider says what it billed
        ("unheard-of", None, True),
    ],
)
def test_a_price_is_not_exact_where_a_route_with_prices_of_its_own_was_asked_for(
    prices, asked, stated, exact
):
    response = said("stop", model="openai/gpt-4o", usage=usage(7, 3, cost=stated))
    tried = attempt("completed", response)
    tried.model, tried.provider = asked, "openrouter"
    charge = bill(tried, prices)
    assert (charge.cost.exact, charge.exact) == (exact, exact)
    assert charge.cost.total > 0


@pytest.mark.parametrize(("tier", "exact"), [(None, True), ("default", True), ("flex", False)])
def test_the_tier_that_the_answer_names_is_priced_and_without_rates_of_its_own_not_exactly(
    prices, tier, exact
):
    tried = attempt("completed", said("stop", service_tier=tier, usage=usage(7, 3)))
    charge = bill(tried, prices)
    assert (charge.cost.exact, charge.exact) == (exact, exact)
