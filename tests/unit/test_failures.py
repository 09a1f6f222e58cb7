"""What an SDK or its HTTP client raises is told apart by class, through the chain of causes."""

import httpx2
import pytest

from scallion import exceptions as e
from scallion.providers._failures import error_from_exception


class SDKError(Exception):
    """As the SDKs' own: it says no more than its cause."""


class ClientConnectionError(Exception):
    """As aiohttp's, of a client that was closed meanwhile."""


def behind(cause):
    try:
        raise SDKError("the SDK's words") from cause
    except SDKError as error:
        return error


@pytest.mark.parametrize(
    ("cause", "kind", "retryable"),
    [
        (httpx2.UnsupportedProtocol("no scheme"), e.InvalidRequestError, False),
        (httpx2.InvalidURL("no port"), e.InvalidRequestError, False),
        (httpx2.ReadTimeout("slow"), e.TimeoutError, True),
        (TimeoutError("slow"), e.TimeoutError, True),
        (httpx2.ConnectError("refused"), e.ConnectionError, True),
        (httpx2.TooManyRedirects("round and round"), e.ConnectionError, True),
        (OSError("no route"), e.ConnectionError, True),
        (httpx2.DecodingError("no gzip"), e.MalformedResponseError, True),
        (ValueError("a header with a line break"), e.InvalidRequestError, False),
        (TypeError("a timeout that is a word"), e.InvalidRequestError, False),
        (RuntimeError("something else"), e.ProviderError, False),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_class_among_the_causes_says_what_it_was(cause, kind, retryable, wrapped):
    failure = error_from_exception(behind(cause) if wrapped else cause, provider="p", model="m")

    assert type(failure) is kind
    assert (failure.provider, failure.model, failure.retryable) == ("p", "m", retryable)
    assert str(cause) in str(failure)


def test_a_client_that_was_closed_meanwhile_has_not_waited_too_long():
    late = httpx2.ConnectTimeout("closed")
    late.__cause__ = ClientConnectionError("closed")

    assert type(error_from_exception(late, provider="p", model="m")) is e.ConnectionError


def test_our_own_error_stays_as_it_is():
    ours = e.RateLimitError("no", status_code=429)
    assert error_from_exception(ours, provider="p", model="m") is ours


@pytest.mark.parametrize(("status", "kind"), [(401, e.AuthenticationError), (503, e.ServerError)])
def test_a_status_says_more_than_the_body_that_could_not_be_read(status, kind):
    refused = httpx2.HTTPStatusError(
        "no", request=httpx2.Request("POST", "http://x"), response=httpx2.Response(status)
    )
    failure = error_from_exception(behind(refused), provider="p", model="m")

    assert type(failure) is kind
    assert failure.status_code == status
