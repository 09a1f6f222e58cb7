"""What an SDK or its HTTP client raised, as one of our exceptions.

Told apart by the names of the classes, because none of the libraries is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scallion.exceptions import (
    ConnectionError,
    InvalidRequestError,
    LLMClientError,
    MalformedResponseError,
    ProviderError,
    TimeoutError,
)

from ._errors import error_from_payload, error_from_response

if TYPE_CHECKING:
    from collections.abc import Iterator

# The first set is the HTTP clients' word for "you waited too long", the second for "the other side
# went away".
_TIMEOUTS = frozenset({"TimeoutException", "TimeoutError", "APITimeoutError"})
_HUNG_UP = frozenset({"ServerDisconnectedError", "ClientOSError", "ClientConnectionResetError"})
_NETWORK = _HUNG_UP | frozenset(
    {"TransportError", "APIConnectionError", "ClientError", "OSError", "SSLError", "EndOfStream",
     "TooManyRedirects", "StreamError"}
)  # fmt: skip
_BAD_ADDRESS = frozenset({"UnsupportedProtocol", "InvalidURL", "NonHttpUrlClientError"})
_UNREADABLE = frozenset({"DecodingError"})


def error_from_exception(
    error: BaseException, *, provider: str, model: str | None, now: float | None = None
) -> ProviderError:
    """The exception for one raised by an SDK or its HTTP client.

    Looks through the whole chain of causes: the SDKs' aiohttp transport reports a connection that
    the server closed as a connect timeout.
    """
    particulars: dict[str, Any] = {"provider": provider, "model": model}
    if isinstance(error, ProviderError):
        return error
    chain = list(_causes(error))
    refused = _refusal_behind(error)
    if refused is not None:
        return error_from_response(refused, now=now, **particulars)
    for cause in chain:
        response, status = getattr(cause, "response", None), getattr(cause, "status_code", None)
        if response is not None and isinstance(status, int):
            if status == 200:  # an error event of a stream that the SDK has read
                return error_from_payload(getattr(cause, "body", None), **particulars)
            return error_from_response(response, now=now, **particulars)
    names = {name for cause in chain for name in _class_names(cause)}
    detail = _detail(chain)
    if names & _BAD_ADDRESS:
        return InvalidRequestError(f"base_url is not a usable address: {detail}", **particulars)
    if names & _TIMEOUTS and not names & _HUNG_UP and not _was_closed(chain[-1]):
        return TimeoutError(f"no answer in time: {detail}", **particulars)
    if names & _NETWORK and not isinstance(chain[-1], (ValueError, TypeError)):
        return ConnectionError(f"the connection failed: {detail}", **particulars)
    if names & _UNREADABLE:
        return MalformedResponseError(f"the answer cannot be read: {detail}", **particulars)
    if isinstance(chain[-1], (ValueError, TypeError)):
        # A header with a line break, a timeout that is a word: nothing has been sent.
        return InvalidRequestError(f"the request cannot be sent: {detail}", **particulars)
    return ProviderError(f"the SDK failed: {detail}", **particulars)


def _refusal_behind(error: BaseException) -> Any:
    """The response with an error status whose body could not be read, if that is what happened.

    The status says more than what became of the body: a 401 is not to be tried again.
    """
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen or (seen and _is_of_another_call(current)):
            continue
        if type(current).__name__ == "HTTPStatusError":
            return getattr(current, "response", None)
        seen.add(id(current))
        todo += (current.__context__, current.__cause__)
    return None


def _is_of_another_call(cause: BaseException) -> bool:
    """Whether it is a whole failure by itself: this call was made while that one was handled."""
    return isinstance(cause, LLMClientError) or hasattr(cause, "status_code")


def _was_closed(cause: BaseException) -> bool:
    """Whether the client was closed during the call. Its class is the base of others that say more."""
    return type(cause).__name__ == "ClientConnectionError"


def was_not_sent(error: BaseException) -> bool:
    """Whether a kept-alive connection turned out to be closed before a byte was written to it.

    Then the request can be sent again on another one without any doubt; some servers close at once
    what they have just promised to keep alive.
    """
    return any(type(cause).__name__ == "ClientConnectionResetError" for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if seen and _is_of_another_call(current):
            return
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _class_names(error: BaseException) -> Iterator[str]:
    return (cls.__name__ for cls in type(error).__mro__)


def _detail(chain: list[BaseException]) -> str:
    # aiohttp puts a 400 before what it has to say of a cut body, which nobody sent.
    texts = (str(getattr(cause, "message", "") or cause) for cause in reversed(chain))
    text = next((" ".join(text.split()) for text in texts if text), "")
    return f"{text} ({type(chain[-1]).__name__})" if text else type(chain[-1]).__name__
