"""Exchanges to replay: those of a corpus folder, and those written for this suite.

A corpus folder holds one JSON file per exchange, anywhere below it. The fixtures are text, many to
a file, so that they can be read:

    === a name
    provider: openrouter            (default: openai; Anthropic's endpoint follows from it)
    stream: yes
    status: 200
    headers: {"x-request-id": "req_1"}
    line-ends: crlf
    --- response
    data: {"choices": []}

    --- expect
    {"text": "Hi"}

What stands after `expect` is checked against the oracle by hand, in `test_oracle.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the server sets by itself, or has undone already.
_OWN_HEADERS = {"content-length", "content-encoding", "transfer-encoding", "connection"}
_LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}


@dataclass(frozen=True)
class Exchange:
    """One request and its response, as bytes.

    Attributes:
        endpoint: `chat` or `messages`.
        request: The request's body, or `None` if only the response was kept.
        chunk_sizes: The lengths of the pieces in which the body arrived, where they are known.
        expect: What a fixture says about itself.
    """

    name: str
    provider: str
    endpoint: str
    request: dict[str, Any] | None
    stream: bool
    status: int
    headers: dict[str, str]
    body: bytes
    chunk_sizes: list[int] = field(default_factory=list)
    expect: dict[str, Any] | None = None

    @property
    def model(self) -> str:
        """The model that was asked, or any of that provider."""
        asked = (self.request or {}).get("model")
        return asked or {"messages": "claude-sonnet-4-5", "chat": "gpt-4o-mini"}[self.endpoint]

    def __str__(self) -> str:
        return self.name


def corpus(folder: Path) -> Iterator[Exchange]:
    """The chat and messages exchanges of a folder, in a fixed order."""
    for path in sorted(folder.rglob("*.json")):
        recorded = json.loads(path.read_text("utf-8"))
        if recorded["endpoint"] not in ("chat", "messages"):
            continue
        request, response = recorded["request"]["body"], recorded["response"]
        yield from _split(
            Exchange(
                name=path.stem,
                provider=recorded["provider"],
                endpoint=recorded["endpoint"],
                request=request if isinstance(request, dict) and "messages" in request else None,
                stream=bool(response["stream"]),
                status=response["status"],
                headers={
                    name: value
                    for name, value in response["headers"].items()
                    if name.lower() not in _OWN_HEADERS
                },
                body=(response["body"] or "").encode(),
                chunk_sizes=response.get("chunk_sizes") or [],
            )
        )


def _split(exchange: Exchange) -> Iterator[Exchange]:
    """Part recordings that hold the answers of several requests, one body after the other."""
    end, start = b"event: message_stop", b"event: message_start\n"
    first, *more = exchange.body.split(start)
    bodies = [first]
    for part in more:
        if end in bodies[-1]:
            bodies.append(start + part)
        else:
            bodies[-1] += start + part
    if len(bodies) == 1:
        yield exchange
        return
    for number, body in enumerate(bodies, start=1):
        yield replace(exchange, name=f"{exchange.name}#{number}", body=body, chunk_sizes=[])


def fixtures(folder: Path) -> Iterator[Exchange]:
    """The exchanges written in the `.txt` files of a folder."""
    for path in sorted(folder.glob("*.txt")):
        for section in path.read_text("utf-8").split("=== ")[1:]:
            yield _fixture(path.stem, section)


def _fixture(group: str, section: str) -> Exchange:
    name, _, rest = section.partition("\n")
    head, _, rest = rest.partition("--- response\n")
    body, _, expect = rest.partition("--- expect\n")
    options: dict[str, str] = {}
    for line in head.splitlines():
        option, _, value = line.partition(":")
        options[option.strip()] = value.strip()
    provider = options.get("provider", group.partition("_")[0])
    stream = options.get("stream", "yes" if group.endswith("_stream") else "no") == "yes"
    kind = "text/event-stream" if stream else "application/json"
    headers = {"content-type": kind} | json.loads(options.get("headers", "{}"))
    line_end = _LINE_ENDS[options.get("line-ends", "lf")]
    return Exchange(
        name=f"{group}: {name.strip()}",
        provider=provider,
        endpoint="messages" if provider == "anthropic" else "chat",
        request=json.loads(options["request"]) if "request" in options else None,
        stream=stream,
        status=int(options.get("status", 200)),
        headers=headers,
        body=body.encode().replace(b"\n", line_end),
        expect=json.loads(expect),
    )
