"""Images, sound and files: their size is read from their first bytes, and priced as documented."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scallion._request import Request
from scallion._tokens_media import (
    Patches,
    Tiles,
    claude_image,
    document,
    image,
    size_of,
    sound,
)
from scallion.tokens import estimate


def png(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b"")


def jpeg(width, height):
    preview = b"\xff\xe1" + struct.pack(">H", 2002) + b"\xff" * 2000
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + preview + frame + b"\xff\xd9"


def gif(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(3)


def webp(kind, width, height):
    if kind == b"VP8X":
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + size
    if kind == b"VP8L":
        bits = (width - 1) | (height - 1) << 14
        return b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", bits)
    return b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + struct.pack("<HH", width, height)


def url(data, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    "data",
    [
        png(640, 480),
        jpeg(640, 480),
        gif(640, 480),
        webp(b"VP8X", 640, 480),
        webp(b"VP8L", 640, 480),
        webp(b"VP8 ", 640, 480),
    ],
    ids=["png", "jpeg", "gif", "webp-extended", "webp-lossless", "webp-lossy"],
)
def test_the_size_of_an_image_is_read_from_its_header(data):
    assert size_of(url(data)) == (640, 480)
    assert size_of(base64.b64encode(data).decode()) == (640, 480)


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"GIF8", b"RIFF\0\0\0\0WEBPVP8 "]),
)
def test_a_damaged_image_has_no_size_and_raises_nothing(data, head):
    size = size_of(url(head + data))
    assert size is None or (size[0] > 0 and size[1] > 0)


@pytest.mark.parametrize(
    "source", ["https://example.com/a.png", "", "data:image/png;base64,", "???"]
)
def test_an_image_elsewhere_is_taken_to_be_a_usual_one(source):
    found = image(Tiles(85, 170), source, None)
    assert not found.exact
    assert found.tokens == 765
    assert found.upper == 85 + 8 * 170


# The examples of OpenAI's documentation.
@pytest.mark.parametrize(
    ("rule", "size", "detail", "tokens"),
    [
        (Tiles(85, 170), (1024, 1024), "high", 765),
        (Tiles(85, 170), (2048, 4096), "high", 1105),
        (Tiles(85, 170), (4096, 8192), "low", 85),
        (Tiles(85, 170), (1, 1), None, 255),
        (Patches(1.0), (1024, 1024), None, 1024 + 2),
        (Patches(1.0), (1800, 2400), None, 1452 + 2),
        (Patches(1.62), (1024, 1024), "high", 1659 + 2),
        (Patches(1.0), (20_000, 20_000), None, 1521 + 2),
    ],
)
def test_images_cost_what_openai_documents(rule, size, detail, tokens):
    found = image(rule, url(png(*size)), detail)
    assert (found.tokens, found.exact, found.upper) == (tokens, True, tokens)


@given(st.integers(1, 30_000), st.integers(1, 30_000))
def test_no_image_costs_more_than_the_most(width, height):
    source = url(png(width, height))
    assert image(Tiles(85, 170), source, None).tokens <= 85 + 8 * 170
    assert image(Patches(1.2, 2500), source, None).tokens <= 3002
    assert claude_image(source, newer=False).tokens <= 1568 + 3
    assert claude_image(source, newer=True).tokens <= 4784 + 3


@pytest.mark.parametrize(
    ("size", "classic", "newer"),
    [
        ((60, 30), 3 * 2, 3 * 2),  # as recorded
        ((166, 282), 6 * 11, 6 * 11),  # as recorded
        ((1000, 1000), 36 * 36, 36 * 36),
        ((1120, 1120), 40 * 40 - 32, 40 * 40),  # 1,568 patches are the most
        ((3136, 28), 56, 92),  # shrunk to 1,568 and to 2,576 pixels
    ],
)
def test_images_for_claude_cost_their_patches(size, classic, newer):
    source = url(png(*size))
    assert claude_image(source, newer=False).tokens == classic + 3
    assert claude_image(source, newer=True).tokens == newer + 3


def wav(seconds):
    rate = 48_000
    data = bytes(int(seconds * rate))
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, 24_000, rate, 2, 16, b"data", len(data))  # fmt: skip
    return base64.b64encode(head + data).decode()


def test_sound_is_a_token_for_each_tenth_of_a_second():
    assert sound(wav(2.5), "wav").tokens == pytest.approx(25, abs=1)
    assert sound(wav(2.5), "wav").exact
    guessed = sound(base64.b64encode(bytes(32_000)).decode(), "mp3")
    assert not guessed.exact
    assert guessed.tokens == pytest.approx(20, abs=1)


def test_a_pdf_counts_by_its_pages_and_other_files_by_their_size():
    pdf = b"%PDF-1.4 << /Type /Pages >> " + b"<< /Type /Page >> " * 3
    found = document(url(pdf, "application/pdf"), 1000)
    assert (found.tokens, found.exact) == (3000, False)
    assert document(url(b"a,b\n" * 100, "text/csv"), 1000).tokens == 45 + 100
    assert document("https://example.com/a.pdf", 1000).tokens == 1000
    assert document("", 1000).upper >= 5000


def test_parts_that_are_not_text_are_found_in_every_usual_shape():
    picture = url(png(1024, 1024))
    data = picture.partition(",")[2]

    def counted(model, *parts):
        empty = estimate(
            Request(model, [{"role": "user", "content": [{"type": "text", "text": "x"}]}])
        )
        content = [{"type": "text", "text": "x"}, *parts]
        return (
            estimate(Request(model, [{"role": "user", "content": content}])).tokens - empty.tokens
        )

    assert counted("gpt-4o", {"type": "image_url", "image_url": {"url": picture}}) == 765
    assert counted("gpt-4o", {"type": "image_url", "image_url": picture}) == 765
    assert counted("gpt-4o", {"type": "input_image", "image_url": picture, "detail": "low"}) == 85
    assert counted("gpt-4o-mini", {"type": "image_url", "image_url": {"url": picture}}) == 25_501
    block = {"type": "image", "source": {"type": "base64", "data": data, "media_type": "image/png"}}
    assert counted("gpt-4o", block) == 765
    assert counted("claude-sonnet-4-5", block) == 37 * 37 + 3
    routed = {"type": "image_url", "image_url": {"url": picture}}
    assert counted("claude-sonnet-4-5", routed) == 37 * 37 + 3
    assert counted(
        "gpt-audio", {"type": "input_audio", "input_audio": {"data": wav(3), "format": "wav"}}
    ) == (pytest.approx(30, abs=1))
    pdf = {"type": "file", "file": {"file_data": url(b"%PDF /Type /Page ", "application/pdf")}}
    assert counted("gpt-4o", pdf) == 900
    assert counted("claude-sonnet-4-5", pdf) == 2200
    text = {"type": "document", "source": {"type": "text", "data": "Say hello"}}
    assert counted("gpt-4o", text) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF\x00\x00\x00\x00WEBPVP9 " + bytes(20),
        b"\xff\xd8" + b"\x00" * 40,
        b"\xff\xd8\xff\xff\xff\xd0\xff\x01" + b"\x00" * 20,
        b"\x89PNG\r\n\x1a\n",
    ],
    ids=["a WebP of another kind", "a JPEG without markers", "a JPEG of padding", "a cut PNG"],
)
def test_an_image_that_does_not_tell_its_size_has_none(data):
    assert size_of(url(data)) is None


def test_what_is_not_base64_is_an_empty_file():
    assert document("data:text/plain;base64,a===", 700).tokens == 700


def test_every_part_counts_for_models_of_others():
    def tokens(*parts):
        request = Request("openrouter/google/gemini-2.5-pro", [{"role": "user", "content": parts}])
        return estimate(request).tokens

    text = {"type": "text", "text": "Look at this"}
    plain = tokens(text)
    sound = {"type": "input_audio", "input_audio": {"data": wav(3), "format": "wav"}}
    assert tokens(text, {"type": "image_url", "image_url": {"url": url(png(512, 512))}}) > plain
    assert tokens(text, sound) == pytest.approx(plain + 30, abs=2)
    assert tokens(text, {"type": "file", "file": {"file_data": url(b"%PDF /Type /Page ")}}) > plain
    assert tokens(text, {"type": "video_url", "video_url": {"url": url(bytes(4000))}}) > plain
    source = {"type": "text", "data": "Say hello"}
    assert tokens(text, {"type": "document", "source": source}) == plain + 2
    assert tokens(text, {"type": "thinking", "thinking": "Hm."}) == plain
    assert tokens(" Say hello") == tokens({"type": "text", "text": " Say hello"})
    pdf = {"type": "base64", "data": url(b"%PDF /Type /Page ").partition(",")[2]}
    assert tokens(text, {"type": "document", "source": pdf}) > plain + 500
