"""What the adapters over an SDK share: a client per event loop, one way to send, one way to fail.

The official clients bring credentials, base URLs, proxies and transports. Their typed methods cost
tens of milliseconds on an agent's history, so requests go through their documented generic `post`
with bytes that msgspec encoded, and answers are decoded here.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import weakref
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import msgspec

from scallion._accumulate import BROKEN_OFF, accumulate
from scallion._response import Response
from scallion._secrets import (
    HOLDERS,
    LeftBehind,
    Secret,
    hidden,
    hide,
    keep_out_of_logs,
    plain,
    without_credentials,
)
from scallion.exceptions import (
    AuthenticationError,
    InvalidRequestError,
    MalformedResponseError,
    ProviderError,
    ServerError,
)

from ._account import fingerprint, held_by
from ._base import BaseLLMClient
from ._bodies import excerpt, looks_like_events, read_whole, repaired, what_came
from ._config import SETTINGS, ClientConfig, check_address, check_settings, has_no
from ._encode import LARGE, OnePiece, encode_json
from ._errors import embedded_error, error_from_payload, request_id_of, shown_url
from ._event_stream import EventStream
from ._failures import error_from_exception, was_not_sent
from ._loop_client import LoopClient, close_soon
from ._params import check_params
from ._sse import SSEParser

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from scallion._request import Request
    from scallion._scrub import Scrubber
    from scallion.types import ModelResponse, StreamChunk

    from ._event_stream import EventDecoder


class SDKClient(BaseLLMClient):
    """An adapter that sends requests through the provider's SDK.

    Safe to share between tasks, threads and event loops: each running loop gets an SDK client of
    its own, made at its first call and closed by `aclose()` or when the loop shuts down.
    """

    _sdk: ClassVar[str]
    """The SDK's package."""

    path: ClassVar[str]
    """The endpoint, relative to the base URL."""

    key_variable: ClassVar[str]
    """The environment variable that holds the key."""

    account_variables: ClassVar[tuple[str, ...]] = ()
    """Those by which the SDK may be told another account, or a part of one; or other headers."""

    keyless_variables: ClassVar[tuple[str, ...]] = ()
    """Those that it looks at if it has no key."""

    address_variable: ClassVar[str]
    """The environment variable that may hold the base URL."""

    def __init__(
        self, config: ClientConfig | None = None, *, client: Any = None, **settings: Any
    ) -> None:
        hide(settings)  # first: a traceback may show them
        known = {name: settings.pop(name) for name in list(settings) if name in SETTINGS}
        if settings:
            known["options"] = {**known.get("options", {}), **settings}
        if config is None:
            config = ClientConfig(**known)
        elif known:
            config = msgspec.structs.replace(config, **known)
        check_settings(config)
        self.config = config
        self._given_client = client
        self._own = os.urandom(8).hex()
        if client is not None and (
            isinstance(client, type)
            or not inspect.iscoroutinefunction(getattr(client, "post", None))
            or not {"openai", "anthropic"}.isdisjoint(_packages_of(client) - {self._sdk})
        ):
            what = client.__name__ if isinstance(client, type) else type(client).__name__
            raise TypeError(f"client must be an asynchronous client of {self._sdk}'s, not {what}")
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopClient]
        self._clients = WeakKeyDictionary()

    async def warm_up(self) -> None:
        """Import the SDK and make the client now, so that the first call does not pay for it."""
        await self._client()

    async def aclose(self) -> None:
        """Close the running loop's client. A client that was handed in is its owner's to close."""
        held = self._clients.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await held.aclose()

    def identity(self, model: str) -> str:
        """See `BaseLLMClient`. The key is in it as a keyed hash, which does not lead back to it."""
        del model
        client, config = self._given_client, self.config
        if client is not None:
            account = held_by(client)
        else:
            account = [config.api_key or os.environ.get(self.key_variable)]
            names = self.account_variables
            if not account[0]:
                names += self.keyless_variables
            account += [os.environ.get(name) or "" for name in names]
        address, credentials = without_credentials(self.address() or "")
        account += (config.default_headers, config.options, credentials)
        return f"{self.name} {address} {fingerprint(account, self._own)}"

    def address(self) -> str | None:
        """The base URL that requests go to; `None` if it is the SDK's default."""
        if self._given_client is not None:
            return str(self._given_client.base_url)
        return self.config.base_url or os.environ.get(self.address_variable)

    def __repr__(self) -> str:
        config = getattr(self, "config", None)  # a traceback may show one that is half made
        address = config.base_url if config is not None else None
        return f"{self.name}(base_url={shown_url(address)!r})" if address else f"{self.name}()"

    def __reduce__(self) -> tuple[type[SDKClient], tuple[ClientConfig]]:
        if self._given_client is not None:
            raise TypeError(f"{self.name}(client=…) cannot be pickled: pass its settings instead")
        return type(self), (self.config,)

    # -------------------------------------------------------------------- what an adapter adds

    def settings(self) -> dict[str, Any]:
        """What is configured, as the SDK's client takes it: hidden still, `plain` shows it.

        Raises:
            AuthenticationError: a header with a secret did not come along in a pickle.
        """
        config = self.config
        headers, address = config.default_headers, config.base_url
        from_environment = os.environ.get(self.address_variable) or ""
        if address is None and "@" in from_environment:
            # HTTP clients would write the password into their logs.
            address, credentials = without_credentials(from_environment)
            if credentials is not None and has_no("authorization", headers):
                headers = {**(headers or {}), "Authorization": credentials}
        for name, value in (headers or {}).items():
            if isinstance(value, LeftBehind):
                raise AuthenticationError(
                    f"the header {name} of {self.name} is secret and was left out of the pickle: "
                    "make the provider anew in this process",
                    provider=self.name,
                )
        given = {
            "api_key": config.api_key,
            "base_url": address,
            "timeout": config.timeout,
            "default_headers": headers,
            "max_retries": 0,
            **config.options,
        }
        return {
            name: value
            for name, value in given.items()
            if name in config.options or (value is not None)
            if not isinstance(value, LeftBehind)
        }

    @abstractmethod
    def make_client(self) -> Any:
        """A new SDK client from `self.config`."""

    @abstractmethod
    def make_body(self, request: Request) -> dict[str, Any]:
        """The JSON body for a request. Raises `ValueError` for what the provider cannot do."""

    @abstractmethod
    def read_answer(self, body: bytes) -> ModelResponse:
        """Decode a whole answer. Raises `ValueError` if it is not one."""

    @abstractmethod
    def event_decoder(self, request: Request) -> EventDecoder:
        """A new decoder for the events of one stream."""

    # --------------------------------------------------------------------------- the handler

    async def __call__(self, request: Request) -> Response:
        """Send one request. The Response is not yet committed; the pipeline does that."""
        handled = sys.exception()
        try:
            return await self._ask(request)
        except BaseException as error:
            if isinstance(error, ProviderError):
                error.model = error.model or request.model
            self._cleanse(error, request, handled)
            raise

    async def _ask(self, request: Request) -> Response:
        params = request.params
        try:
            check_params(params)
            body = self.make_body(request)
            extra_body = params.get("extra_body")
            if extra_body:
                body.update(extra_body)
            content = encode_json(body)
        except (ValueError, TypeError, RecursionError) as error:
            raise self.invalid(str(error), request) from error
        return await self._exchange(request, body, content)

    async def _exchange(self, request: Request, body: dict[str, Any], content: bytes) -> Response:
        client = await self._client()
        # Whole answers, too, are read here: the SDK would read them without any bound.
        http = await self.send(request, self.path, body, content, stream=True)
        held = self._clients.get(asyncio.get_running_loop())
        if held is not None:
            held.responses.add(http)
        if request.stream:
            return await self._streamed(http, client, request)
        try:
            whole = await read_whole(http, self.config.max_body_bytes)
        except Exception as error:  # noqa: BLE001 - made a typed one
            failure = self.failed(error, request, http)
            raise failure from (None if failure is error else error)
        return self._whole(http, whole, request)

    async def send(
        self,
        request: Request,
        path: str,
        body: dict[str, Any],
        content: bytes,
        *,
        stream: bool = False,
    ) -> Any:
        """Post `body`, which is also there as `content`. Returns the SDK's raw HTTP response.

        Raises:
            ProviderError: it failed.
        """
        client = await self._client()
        params = request.params
        options: dict[str, Any] = {"max_retries": 0, "headers": self.headers(request)}
        if "timeout" in params:
            options["timeout"] = params["timeout"]
        if "extra_query" in params:
            options["params"] = plain(params["extra_query"])
        # A client that rewrites requests (Azure, Bedrock, Vertex) has to see the body as a dict.
        sent: dict[str, Any] = {"body": body}
        if self._takes_bytes(client):
            sent = {"content": content}
            if len(content) > LARGE:
                sent = {"content": OnePiece(content)}
                options["headers"] = {**options["headers"], "content-length": str(len(content))}
        for last_try in (False, False, True):
            try:
                return await client.post(
                    path,
                    **sent,
                    cast_to=_raw_response_type(),
                    options=options,
                    stream=stream,
                    stream_cls=self._stream_class() if stream else None,
                )
            except Exception as error:
                if last_try or not was_not_sent(error):
                    raise self.failed(error, request) from error
                await asyncio.sleep(0)
        raise AssertionError  # the last try returns or raises

    def _whole(self, http: Any, content: bytes, request: Request) -> Response:
        """A Response from a body that has been read."""
        try:
            answer = self._read(content)
        except ProviderError as error:
            raise self.failed(error, request, http) from None
        except (ValueError, RecursionError) as error:
            came = what_came(content, http.headers.get("content-type", ""))
            told, partial = self._told_in_events(content, request)
            failure = told or MalformedResponseError(
                f"{came} where a JSON answer was due ({error})",
                status_code=http.status_code,
                body=excerpt(content),
            )
            failure.partial = partial
            raise self.failed(failure, request, http) from error
        said = embedded_error(answer)
        if said is not None:
            refused = error_from_payload(said, provider=self.name, model=request.model)
            refused.partial = answer if answer.usage is not None else None
            raise self.failed(refused, request, http)
        if not answer.choices:
            empty = MalformedResponseError(
                "the answer has no choices", body=answer.raw, partial=answer
            )
            raise self.failed(empty, request, http)
        reasons = [choice.finish_reason for choice in answer.choices]
        if not BROKEN_OFF.isdisjoint(reasons):
            broken = ServerError(f"the server broke the answer off: {reasons}")
            broken.partial = answer
            raise self.failed(broken, request, http)
        answer.provider = self.name
        answer.request_id = request_id_of(http.headers)
        return Response.completed(answer, request)

    def _told_in_events(
        self, content: bytes, request: Request
    ) -> tuple[ProviderError | None, ModelResponse | None]:
        """The error and the text of a stream that came where a whole answer was due: it is billed."""
        if not looks_like_events(content):
            return None, None
        parser = SSEParser(len(content))
        events = parser.feed(content) + parser.close()
        chunks: list[StreamChunk] = []
        error = None
        try:
            self.event_decoder(request).decode(events, chunks)
        except ProviderError as told:
            error = told
        except (ValueError, RecursionError):
            pass  # what came before it counts
        return error, accumulate(chunks) if chunks else None

    def _read(self, content: bytes) -> ModelResponse:
        try:
            return self.read_answer(content)
        except (ValueError, RecursionError):
            whole = repaired(content)
            if whole is None:
                raise
            return self.read_answer(whole)

    async def _streamed(self, http: Any, client: Any, request: Request) -> Response:
        """A Response from a body that is still to come."""
        request_id = request_id_of(http.headers)
        content_type = http.headers.get("content-type", "")
        amazons = "amazon.eventstream" in content_type
        source = self._events(http, request, self._reframed(http, client) if amazons else None)
        if "json" in content_type or "html" in content_type:
            content = await source.read_body(self.config.max_body_bytes)
            if not looks_like_events(content):
                error = self._no_stream(content, content_type)
                raise self.failed(error, request, http)
            source = self._events(http, request, aiter(OnePiece(content)))  # mislabelled
        return Response.streaming(source, request, provider=self.name, request_id=request_id)

    def _events(
        self, http: Any, request: Request, pieces: AsyncIterator[bytes] | None
    ) -> EventStream:
        content_type = http.headers.get("content-type", "")
        return EventStream(
            http,
            self.event_decoder(request),
            pieces=pieces,
            max_event_bytes=self.config.max_event_bytes,
            on_error=lambda error: self.failed(error, request, http),
            on_other=lambda content: self._no_stream(content, content_type),
            cleanse=lambda error, handled: self._cleanse(error, request, handled),
        )

    def _no_stream(self, content: bytes, content_type: str) -> ProviderError:
        """The error for a body that came where a stream was due: perhaps it says what is wrong."""
        try:
            answer = self._read(content)
        except ProviderError as error:
            return error
        except (ValueError, RecursionError):
            answer = None
        failure = embedded_error(answer) if answer is not None else None
        if failure is not None:
            return error_from_payload(failure, provider=self.name, model=None)
        return MalformedResponseError(
            f"{what_came(content, content_type)} where a stream was due",
            body=excerpt(content),
            partial=answer,
        )

    async def _reframed(self, http: Any, client: Any) -> AsyncGenerator[bytes, None]:
        """Amazon's binary framing, undone by the SDK, as plain server-sent events."""
        stream = self._stream_class()(cast_to=object, response=http, client=client)
        async for event in stream:
            yield b"data: " + msgspec.json.encode(event) + b"\n\n"

    def headers(self, request: Request) -> dict[str, Any]:
        """The headers of one request, over those of the client."""
        given = request.params.get("extra_headers") or {}
        return {name: plain(value) for name, value in given.items()}

    def invalid(self, message: str, request: Request) -> InvalidRequestError:
        """A request that is refused before sending."""
        return InvalidRequestError(message, provider=self.name, model=request.model)

    def failed(self, error: Exception, request: Request, http: Any = None) -> ProviderError:
        """The typed error for what an SDK or its HTTP client raised, after `http` if that came."""
        failure = error_from_exception(
            error, provider=self.name, model=request.model, now=request.context.clock.time()
        )
        failure.provider = failure.provider or self.name
        failure.model = failure.model or request.model
        if http is not None:
            failure.request_id = request_id_of(http.headers) or failure.request_id
        sent = vars(error).get("request") or getattr(http, "_request", None)
        self._scrubber(request, sent).texts(failure)
        return failure

    def _cleanse(
        self, error: BaseException, request: Request | None, handled: BaseException | None
    ) -> None:
        """Take secrets out of what leaves the adapter. `handled`: see `Scrubber.error`."""
        self._scrubber(request).error(error, handled)

    def _scrubber(self, request: Request | None, sent: Any = None) -> Scrubber:
        """Some servers quote the key that they refuse, and HTTP clients the URL with a password."""
        config = self.config
        secrets: list[Any] = [config.api_key, os.environ.get(self.key_variable)]
        held = [config.default_headers, config.options, *config.options.values()]
        held += [request.params.get(name) for name in HOLDERS] if request is not None else []
        for client in (self._given_client, *(loop.client for loop in self._clients.values())):
            secrets += [getattr(client, name, None) for name in _CLIENT_SECRETS]
            for name in ("_custom_headers", "_custom_query"):
                held.append(hidden(name, getattr(client, name, None)))
        for each in held:
            if isinstance(each, dict):
                secrets += [value for value in each.values() if isinstance(value, Secret)]
        with suppress(ValueError):  # not a URL at all, which is then what the failure says
            secrets.append(without_credentials(self.address() or "")[1])
        from scallion._scrub import Scrubber, secrets_sent

        return Scrubber([*secrets, *secrets_sent(sent)])

    def _takes_bytes(self, client: Any) -> bool:
        if self._given_client is None:
            return True
        return type(client) is self._sdk_class() and getattr(client, "_provider", None) is None

    @abstractmethod
    def _sdk_class(self) -> type: ...

    @abstractmethod
    def _stream_class(self) -> type: ...

    async def _client(self) -> Any:
        given = self._given_client
        if given is not None:
            if given.is_closed():  # the two SDKs would say it in different ways
                raise InvalidRequestError(
                    f"the client that was handed to {self.name}(client=…) is closed",
                    provider=self.name,
                )
            return given
        loop = asyncio.get_running_loop()
        held = self._clients.get(loop)
        if held is None:
            held = LoopClient(self._new_client())
            self._clients[loop] = held
            # The loop's own end, and the end of whoever holds this adapter, close it too.
            forgotten = weakref.finalize(self, close_soon, held, loop)
            forgotten.atexit = False
            await held.watch(forgotten, self._clients, loop)
        return held.client

    def _new_client(self) -> Any:
        keep_out_of_logs()
        if (address := self.address()) and self.config.base_url is None:
            check_address(self.address_variable, address)
        handled = sys.exception()
        try:
            return self.make_client()
        except ProviderError:
            raise
        except Exception as error:
            self._cleanse(error, None, handled)
            if not self.config.api_key and _has_no_key(error):
                raise self.missing_key() from error
            raise InvalidRequestError(
                f"the SDK's client cannot be made: {error}", provider=self.name
            ) from error

    def missing_key(self) -> AuthenticationError:
        """What to say when there is no key."""
        hint = " (any text, if your server wants none)" if self.address() else ""
        return AuthenticationError(
            f"no API key: set {self.key_variable}, "
            f"or pass scallion.providers.{self.name}(api_key=…){hint}",
            provider=self.name,
        )


def _packages_of(client: object) -> set[str]:
    return {base.__module__.partition(".")[0] for base in type(client).__mro__}


_CLIENT_SECRETS = (
    "api_key",
    "admin_api_key",
    "auth_token",
    "webhook_secret",
    "organization",
    "project",
)


def _has_no_key(error: Exception) -> bool:
    # Both SDKs raise their root exception, or a plain one, when they find no credentials.
    return type(error).__name__ in {"OpenAIError", "AnthropicError"}


def _raw_response_type() -> Any:
    import httpx2

    return httpx2.Response
