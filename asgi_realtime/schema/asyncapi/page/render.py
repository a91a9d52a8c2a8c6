"""The whole page: one HTML file that loads nothing, and the policy that forbids it to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from asgi_realtime.schema.asyncapi.page.channels import Channels
from asgi_realtime.schema.asyncapi.page.markup import Html, element, prose

_FOLDER = Path(__file__).parent
STYLE: Final = Html((_FOLDER / "page.css").read_text(encoding="utf-8"))
SCRIPT: Final = Html((_FOLDER / "page.js").read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY: Final = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy of the page. The browser runs this script and no other, and requests nothing."""


def render(document: Mapping[str, Any], *, json_address: str) -> str:
    """The page of a document that `asyncapi` has made. `json_address`: where the document itself is."""
    info, channels = document["info"], Channels(document)
    title, version = str(info["title"]), str(info["version"])
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="alternate", type="application/json", href=json_address),
        element("style", STYLE),
    )
    search = element(
        "div",
        element("label", "Find an event", for_="search"),
        element(
            "input", id="search", type="search", autocomplete="off", spellcheck="false", aria_describedby="search-keys"
        ),
        element("span", element("kbd", "/"), " to search, ", element("kbd", "Esc"), " to end", id="search-keys"),
        element("button", "Open all", type="button", id="open"),
        element("button", "Close all", type="button", id="close"),
        element("output", id="found", aria_live="polite"),
        id="tools",
        hidden=True,
    )
    main = element(
        "main",
        element("h1", title, " ", element("small", f"version {version}")),
        prose(info.get("description", "")),
        element("p", element("a", "This document as JSON", href=json_address), " (AsyncAPI 3)"),
        search,
        channels.sections() or element("p", "There is no gateway."),
        channels.schemas(),
        id="main",
        tabindex="-1",
    )
    contents = element("ul", channels.contents())
    body = element(
        "body",
        element("a", "Skip to the events", href="#main", class_="skip"),
        element("nav", element("details", element("summary", "Contents"), contents, open=True), aria_label="Contents"),
        main,
        element("script", SCRIPT),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"
