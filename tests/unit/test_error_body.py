"""Where servers put what is wrong: each as its documentation or its code has it."""

import pytest

from scallion.providers._errors import error_from_payload, request_id_of


def read(status, payload, headers=None):
    return error_from_payload(
        payload, provider="p", model="m", status=status, headers=headers or {}
    )


def openrouters(status, **metadata):
    return {"error": {"code": status, "message": "no", "metadata": metadata}}


def googles(reason, *details):
    return [{"error": {"code": 400, "message": "no", "status": reason, "details": list(details)}}]


@pytest.mark.parametrize(
    ("status", "payload", "expected", "code"),
    [
        # OpenRouter's typed errors
        (400, openrouters(400, error_type="context_length_exceeded"), "ContextWindowExceeded", ...),
        (400, openrouters(400, error_type="content_policy_violation"), "ContentPolicy", ...),
        (400, openrouters(400, error_type="refusal"), "ContentPolicy", ...),
        (503, openrouters(503, error_type="provider_overloaded"), "Overloaded", ...),
        (None, openrouters(503, error_type="provider_overloaded"), "Overloaded", ...),
        (400, openrouters(400, error_type="invalid_prompt"), "InvalidRequest", None),
        (403, openrouters(403, patterns=["ignore all"]), "ContentPolicy", None),
        (
            None,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "error_type": "context_length_exceeded"},
            },
            "ContextWindowExceeded",
            ...,
        ),
        # Gemini
        (
            400,
            googles("INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"}),
            "Authentication",
            ...,
        ),
        (400, googles("INVALID_ARGUMENT", "?", {"reason": 5}), "InvalidRequest", ...),
        (429, {"error": {"status": "RESOURCE_EXHAUSTED", "details": {}}}, "RateLimit", ...),
        # the text is `error` itself, and the code stands beside it: xAI, TGI
        (400, {"code": "bad argument", "error": "no"}, "InvalidRequest", "bad argument"),
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}, "Overloaded", ...),
        (424, {"error": "CUDA out of memory", "error_type": "generation"}, "Server", "generation"),
        # FastAPI, Databricks, Groq, Alibaba, LocalAI
        (
            400,
            {"detail": {"error": {"code": "context_length_exceeded"}}},
            "ContextWindowExceeded",
            ...,
        ),
        (429, {"error_code": "REQUEST_LIMIT_EXCEEDED"}, "RateLimit", "REQUEST_LIMIT_EXCEEDED"),
        (498, {"error": {"code": "capacity_exceeded"}}, "Overloaded", "capacity_exceeded"),
        (400, {"error": {"code": "data_inspection_failed"}}, "ContentPolicy", ...),
        (500, {"error": {"code": 500, "type": ""}}, "Server", None),
    ],
)
def test_the_code_is_found_wherever_a_server_puts_it(status, payload, expected, code):
    error = read(status, payload)

    assert type(error).__name__ == f"{expected}Error"
    if code is not ...:
        assert error.code == code
    else:
        assert error.code in str(payload)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"message": {"detail": [{"loc": ["body", "x"], "msg": "not permitted"}]}}, "body.x: not permitted"),
        ({"detail": {"error": {"message": "boom"}}}, "boom"),
        ({"detail": {"message": "boom", "loc": []}}, "boom"),
        ({"status": 503, "error": "Service Unavailable", "message": ""}, "Service Unavailable"),
        ({"error": "Bad Request", "message": "model is required"}, "model is required"),
        ({"Message": "User is not authorized"}, "User is not authorized"),
        ({"code": 1214, "msg": "bad parameter"}, "bad parameter"),
        ({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, "rate limit"),
        (
            {"error": {"error": {"error": {"error": {"message": "too deep to be one"}}}}},
            "the provider reported an error without a message",
        ),
    ],
)  # fmt: skip
def test_the_message_is_found_in_the_objects_within(payload, said):
    assert read(400, payload).message == said


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "The input token count exceeds the maximum number of tokens allowed 1048576.",
        "Input is too long for requested model.",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000",
        "Input validation error: `inputs` must have less than 1024 tokens. Given: 3000",
        "The input (40000 tokens) is longer than the model's context length (32768 tokens).",
        "Requested token count exceeds the model's maximum context length of 32768 tokens.",
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
        "Invalid request: Your request exceeded model token limit: 8192",
    ],
)
def test_more_servers_that_have_no_code_for_an_overlong_prompt(message):
    assert type(read(400, {"error": {"message": message}})).__name__ == "ContextWindowExceededError"


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("45.837906927s", 45.837906927), ("58s", 58.0), ("58", None), ("-1s", None), (58, None), ("s", None)],
)  # fmt: skip
def test_gemini_says_in_the_body_how_long_to_wait(delay, seconds):
    payload = googles("RESOURCE_EXHAUSTED", {"@type": "QuotaFailure"}, {"retryDelay": delay})

    assert read(429, payload).retry_after == seconds
    assert read(429, payload, {"retry-after": "3"}).retry_after == 3.0


def test_a_lack_of_credit_that_passes_by_itself_says_when():
    waits, lasts = read(402, openrouters(402), {"retry-after": "7"}), read(402, openrouters(402))

    assert (waits.retryable, waits.retry_after) == (True, 7.0)
    assert not lasts.retryable


@pytest.mark.parametrize("status", [529, None])
def test_the_request_s_id_may_stand_in_the_body(status):
    payload = {"type": "error", "error": {"type": "overloaded_error"}, "request_id": "req_1"}

    assert read(status, payload).request_id == "req_1"
    assert read(status, payload | {"request_id": None}).request_id is None


@pytest.mark.parametrize(
    "header",
    ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-generation-id"],
)
def test_each_provider_has_its_own_name_for_the_request_s_id(header):
    assert request_id_of({"x-request-id": "", header: "r1"}) == "r1"
    assert request_id_of({}) is None
