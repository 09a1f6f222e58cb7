"""What a provider said went wrong becomes the right exception."""

import pickle
from email.utils import formatdate

import msgspec
import pytest

from scallion import build_pipeline, exceptions
from scallion.exceptions import LLMClientError, RateLimitError
from scallion.middlewares import fallback
from scallion.providers import fake
from scallion.providers._errors import error_from_payload, retry_after


def openai_error(code=None, type="invalid_request_error", message="no"):
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def anthropic_error(type, message="no"):
    return {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_1"}


def openrouter_error(code, **metadata):
    return {"error": {"code": code, "message": "no", "metadata": metadata}}


@pytest.mark.parametrize(
    ("status", "payload", "expected", "retryable"),
    [
        (400, openai_error(), "InvalidRequestError", False),
        (401, openai_error("invalid_api_key"), "AuthenticationError", False),
        (402, openrouter_error(402), "PermissionDeniedError", False),
        (403, openai_error(), "PermissionDeniedError", False),
        (404, openai_error("model_not_found"), "ModelNotFoundError", False),
        (400, openai_error("model_not_found"), "ModelNotFoundError", False),
        (404, "<html>nothing here</html>", "InvalidRequestError", False),
        (405, "", "InvalidRequestError", False),
        (407, "", "ConnectionError", False),
        (408, openai_error(), "TimeoutError", True),
        (409, openai_error(), "ProviderError", True),
        (413, anthropic_error("request_too_large"), "InvalidRequestError", False),
        (418, openai_error(), "ProviderError", False),
        (422, {"detail": "wrong"}, "InvalidRequestError", False),
        (429, openai_error("rate_limit_exceeded", "tokens"), "RateLimitError", True),
        (429, openai_error("insufficient_quota", "insufficient_quota"), "RateLimitError", False),
        (
            429,
            openai_error(None, "exceeded_current_quota_error"),
            "RateLimitError",
            False,
        ),  # Moonshot
        (429, anthropic_error("rate_limit_error"), "RateLimitError", True),
        (500, anthropic_error("api_error"), "ServerError", True),
        (500, anthropic_error("overloaded_error"), "OverloadedError", True),
        (502, "<html>Bad gateway</html>", "ServerError", True),
        (503, "", "ServerError", True),
        (529, anthropic_error("overloaded_error"), "OverloadedError", True),
        (529, "", "OverloadedError", True),
        (400, openai_error("context_length_exceeded"), "ContextWindowExceededError", False),
        (400, openai_error(400, "exceed_context_size_error"), "ContextWindowExceededError", False),
        (400, openai_error("content_policy_violation"), "ContentPolicyError", False),
        (400, openai_error("content_filter"), "ContentPolicyError", False),
        (
            400,
            {"error": {"code": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            "ContentPolicyError",
            False,
        ),
        (403, openrouter_error(403, reasons=["violence"]), "ContentPolicyError", False),
        (
            400,
            openrouter_error(400, raw='{"error":{"code":"context_length_exceeded"}}'),
            "ContextWindowExceededError",
            False,
        ),
        (400, openrouter_error(400, raw="not JSON {"), "InvalidRequestError", False),
        (
            400,
            anthropic_error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
            "ContextWindowExceededError",
            False,
        ),
        (
            400,
            anthropic_error("invalid_request_error", "the word: prompt is too long: here"),
            "InvalidRequestError",
            False,
        ),
        # Inside a 200 there is no status: the body's code or type decides.
        (None, openrouter_error(429), "RateLimitError", True),
        (None, openrouter_error(502), "ServerError", True),
        (None, anthropic_error("overloaded_error"), "OverloadedError", True),
        (None, anthropic_error("invalid_request_error"), "InvalidRequestError", False),
        (None, anthropic_error("timeout_error"), "TimeoutError", True),
        (None, openai_error(None, "server_error"), "ServerError", True),
        (None, openai_error(None, None), "ServerError", True),
        (None, openai_error("429", "None"), "RateLimitError", True),
        (None, openai_error("401", "auth_error"), "AuthenticationError", False),
        (None, openai_error("0429", "server_error"), "ServerError", True),
        (
            None,
            anthropic_error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
            "ContextWindowExceededError",
            False,
        ),
        (None, {"error": "something"}, "ServerError", True),
        (None, {"error": True}, "ServerError", True),
    ],
)
def test_status_code_and_type_decide_and_never_the_wording(status, payload, expected, retryable):
    error = error_from_payload(payload, provider="p", model="m", status=status)

    assert type(error).__name__ == expected
    assert error.retryable is retryable
    assert error.body == payload
    assert (error.provider, error.model) == ("p", "m")


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens",
        "this model's maximum context length is 9 tokens, but the prompt contains 12 input tokens",
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context "
            "length is 4096 tokens and your request has 2778 input tokens"
        ),
        (
            "You passed 31745 input tokens and requested 1024 output tokens. However, the model's "
            "context length is only 32768 tokens"
        ),
        "The prompt is too long: 209126, model maximum context length: 131071",
        "Prompt contains 72584 tokens, too large for model with 32768 maximum context length",
        "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)",
        "Trying to keep the first 111490 tokens when context the overflows. However, the model is",
        "The number of tokens to keep from the initial prompt is greater than the context length.",
        "Context size has been exceeded.",
        "litellm.ContextWindowExceededError: litellm.BadRequestError: no",
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422, None])
def test_an_overlong_prompt_is_told_where_the_server_has_no_code_for_it(message, status):
    payload = {"error": {"message": message, "type": "BadRequestError", "param": None, "code": 400}}

    error = error_from_payload(payload, provider="p", model="m", status=status)

    assert type(error).__name__ == "ContextWindowExceededError"


MODEL = [
    openai_error("model_not_found"),
    openai_error("DeploymentNotFound"),
    # Whatever the words are: `param` says what it is about, or the name is quoted.
    {"error": {"message": "no", "type": "invalid_request_error", "param": "model", "code": None}},
    anthropic_error("not_found_error", "model: org/some-model"),
    openai_error(404, "NotFoundError", "The model `org/some-model` does not exist."),
    {"object": "error", "message": "no model `org/some-model`", "type": "NotFoundError"},
    {"error": 'model "org/some-model" not found, try pulling it first'},
    {"detail": "org/some-model is not loaded"},
    {"message": "'org/some-model'"},
    # What only OpenRouter's routing knows is not for base_url to mend.
    openrouter_error(404) | {"user_id": "u"},
    {"error": {"message": "No endpoints found that support tool use.", "code": 404}},
]
ADDRESS = [
    "<html>nothing here</html>",
    "404 page not found",
    "",
    None,
    [],
    {"detail": "Not Found"},
    {"message": "no Route matched with those values"},
    {"timestamp": "…", "status": 404, "error": "Not Found", "path": "/v2/chat/completions"},
    {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}},
    {"error": {"code": "404", "message": "Resource not found"}},
    anthropic_error("not_found_error", "Not Found"),
    openai_error(None, message="Invalid URL (POST /v2/chat/completions)"),
    openai_error("unknown_url", message="Please check the URL for typos"),
]


@pytest.mark.parametrize("model", ["openai/org/some-model", "openrouter/org/some-model"])
@pytest.mark.parametrize("payload", MODEL)
def test_a_404_about_the_model_says_so(payload, model):
    url = "https://example.org/v2/chat/completions"
    error = error_from_payload(payload, provider="p", model=model, status=404, url=url)

    assert type(error).__name__ == "ModelNotFoundError"
    assert "base_url" not in str(error)


@pytest.mark.parametrize("model", [None, "m", "openai/gpt-4o"])
@pytest.mark.parametrize("payload", ADDRESS)
def test_a_404_about_the_address_shows_it_and_says_what_to_check(payload, model):
    url = "https://example.org/v2/chat/completions"
    error = error_from_payload(payload, provider="p", model=model, status=404, url=url)

    assert type(error).__name__ == "InvalidRequestError"
    assert f"at {url}, is base_url right?" in str(error)


def test_a_404_inside_an_answer_is_not_about_the_address():
    error = error_from_payload(
        {"error": {"code": 404, "message": "Not Found"}}, provider="p", model="m"
    )

    assert type(error).__name__ == "ModelNotFoundError"


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ([{"error": {"message": "gone wrong", "code": 429}}], "gone wrong"),  # Gemini's
        (
            {"detail": [{"loc": ["body", "messages", 0], "msg": "Field required"}, {"msg": "no"}]},
            "body.messages.0: Field required; no",
        ),
        ({"errors": [{"message": "bad"}, "worse"]}, "bad; worse"),
        (
            {"message": {"detail": [{"type": "x"}]}},
            "the provider reported an error without a message",
        ),
        ([], "the provider reported an error without a message"),
        (
            "<html><head><style>p{}</style></head><h1>502 Bad\n gateway</h1></html>",
            "502 Bad gateway",
        ),
        ("1 < 2", "1 < 2"),
        ("<" * 100_000, "<" * 500 + "…"),
    ],
)
def test_the_message_is_found_wherever_a_server_puts_it(payload, said):
    error = error_from_payload(payload, provider="p", model="m", status=429)

    assert error.message == said
    assert type(error).__name__ == "RateLimitError"
    assert error.body == payload


@pytest.mark.parametrize(("header", "retryable"), [("true", True), ("false", False)])
@pytest.mark.parametrize("status", [400, 500])
def test_the_provider_may_say_whether_to_retry(status, header, retryable):
    error = error_from_payload(
        openai_error(), provider="p", model="m", status=status, headers={"x-should-retry": header}
    )

    assert error.retryable is retryable


def test_what_is_neither_true_nor_false_says_nothing_about_retrying():
    error = error_from_payload(
        openai_error(), provider="p", model="m", status=429, headers={"x-should-retry": "maybe"}
    )

    assert error.retryable


def test_an_overlong_prompt_is_known_also_behind_openrouter():
    told = {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}
    raw = msgspec.json.encode({"type": "error", "error": told}).decode()
    payload = openrouter_error(400, raw=raw, provider_name="Anthropic")

    error = error_from_payload(payload, provider="openrouter", model="m", status=400)

    assert type(error) is exceptions.ContextWindowExceededError


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "0"}, None),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015 99:28:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_its_three_forms(headers, seconds):
    assert retry_after(headers) == seconds


def test_retry_after_as_a_date_counts_from_now():
    headers = {"retry-after": formatdate(1_000_030, usegmt=True)}

    assert retry_after(headers, now=1_000_000.0) == 30.0


def test_a_message_says_whom_it_concerns_and_what_to_quote():
    error = error_from_payload(
        openai_error("rate_limit_exceeded", message="Slow down"),
        provider="openai",
        model="gpt-4o",
        status=429,
        request_id="req_1",
    )

    assert str(error) == (
        "openai/gpt-4o: Slow down (status 429, code rate_limit_exceeded, request req_1)"
    )


def test_a_huge_error_page_is_shown_in_part_and_kept_whole():
    page = "x" * 100_000
    error = error_from_payload(page, provider="p", model="m", status=500)

    assert len(str(error)) < 1_000
    assert error.body == page


def every_class(cls=LLMClientError):
    yield cls
    for child in cls.__subclasses__():
        yield from every_class(child)


@pytest.mark.parametrize("cls", set(every_class()), ids=lambda cls: cls.__name__)
def test_every_exception_survives_pickling(cls):
    extra = {"errors": []} if cls is exceptions.AllModelsFailedError else {}
    if issubclass(cls, exceptions.ProviderError):
        extra |= {"model": "m", "status_code": 500}
    error = cls("boom", **extra)

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is cls
    assert str(copy) == str(error)
    assert copy.__dict__ == error.__dict__


@pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
@pytest.mark.parametrize("targets", [[], ["fake/b"]], ids=["one model", "with a fallback"])
async def test_what_a_pipeline_raised_survives_pickling(stream, targets):
    script = [RateLimitError("slow down", status_code=429, retry_after=7.0) for _ in range(2)]
    layers = [fallback(targets)] if targets else []
    llm = build_pipeline(layers, provider=fake(script), model="fake/a")
    with pytest.raises(exceptions.ProviderError) as caught:
        await (llm.stream("Hi").collect() if stream else llm.complete("Hi"))
    error = caught.value

    copy = pickle.loads(pickle.dumps(error))

    assert str(copy) == str(error)
    assert copy.status_code == error.status_code
    failed = [attempt.error for attempt in copy.attempts]
    assert [one.retry_after for one in failed] == [7.0] * (1 + len(targets))
    assert failed == (copy.errors if targets else [copy])  # the very ones, and not copies of them


def test_the_tree_is_the_one_in_the_docstring():
    def draw(cls, depth=0):
        yield depth, cls.__name__
        for child in cls.__subclasses__():
            if not child.__name__.startswith("_"):  # an adapter's own, if one was imported before
                yield from draw(child, depth + 1)

    drawn = []
    for line in exceptions.__doc__.splitlines():
        stripped = line.lstrip(" │├└─")
        if stripped[:1].isupper() and stripped.split()[0].endswith("Error"):
            drawn.append(((len(line) - len(stripped)) // 4 - 1, stripped.split()[0]))

    assert sorted(drawn) == sorted(draw(LLMClientError))


def test_timeouts_and_connection_failures_are_the_builtin_ones_too():
    assert issubclass(exceptions.TimeoutError, TimeoutError)
    assert issubclass(exceptions.ConnectionError, ConnectionError)
