"""Content parts as Anthropic's content blocks."""

from __future__ import annotations

import pytest

from scallion.providers._anthropic_content import blocks_of
from support.histories import EPHEMERAL

PDF = "JVBERi0xLjQgLi4u"  # %PDF-1.4 ...


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://example.org/a.png", {"type": "url", "url": "https://example.org/a.png"}),
        (
            "data:image/png;base64,iVBORw0KGgo=",
            {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        ),
        (
            "data:image/jpg;base64,/9j/",
            {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"},
        ),
        (
            "data:image/gif,GIF89a",
            {"type": "base64", "media_type": "image/gif", "data": "R0lGODlh"},
        ),
    ],
)
def test_images_come_by_url_or_as_data(url, source):
    part = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    (block,) = blocks_of([part | {"cache_control": EPHEMERAL}])
    assert block == {"type": "image", "source": source, "cache_control": EPHEMERAL}


PDF_SOURCE = {"type": "base64", "media_type": "application/pdf", "data": PDF}
TEXT_SOURCE = {"type": "text", "media_type": "text/plain", "data": "a,b"}


@pytest.mark.parametrize(
    ("file", "block"),
    [
        (
            {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"},
            {"type": "document", "source": PDF_SOURCE, "title": "a.pdf"},
        ),
        ({"file_data": PDF}, {"type": "document", "source": PDF_SOURCE}),
        (
            {"file_data": "data:text/csv;base64,YSxi"},
            {"type": "document", "source": TEXT_SOURCE},
        ),
        (
            {"file_data": "YSxi", "filename": "a.csv"},
            {"type": "document", "source": TEXT_SOURCE, "title": "a.csv"},
        ),
        (
            {"file_data": "data:image/png;base64,iVBO", "filename": "a.png"},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"},
            },
        ),
        (
            {"file_data": "https://example.org/a.pdf"},
            {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
        ),
        (
            {"file_id": "file_1"},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        ),
    ],
)
def test_files_become_documents_or_images(file, block):
    assert blocks_of([{"type": "file", "file": file}]) == [block]


@pytest.mark.parametrize("url", ["data:application/zip;base64,UEs=", "data:text/plain;base64,/w=="])
def test_files_of_other_kinds_are_refused(url):
    with pytest.raises(ValueError, match=r"application/zip|not UTF-8"):
        blocks_of([{"type": "file", "file": {"file_data": url}}])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (7, "content must be text or a list"),
        ([7], "a content part must be an object"),
        ([{"text": "x"}], "without its type"),
        ([{"type": "input_audio"}], "no audio; send a transcript"),
        ([{"type": "video_url"}], "no video"),
        ([{"type": "image_url"}], "without its url"),
        ([{"type": "image_url", "image_url": "file:///a"}], "neither an http"),
        ([{"type": "image_url", "image_url": "data:x"}], "must read data:"),
        ([{"type": "file", "file": {}}], "file_data"),
        ([{"type": "file"}], "without its file"),
    ],
)
def test_what_cannot_be_sent_is_named(content, said):
    with pytest.raises(ValueError, match=said):
        blocks_of(content)


def test_bare_texts_among_the_parts_are_texts():
    assert blocks_of(["a", " "]) == [{"type": "text", "text": "a"}]
