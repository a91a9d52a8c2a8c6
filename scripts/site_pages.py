"""Write what Zensical makes the documentation site from into a folder: the pages, and its configuration.

The pages in `docs/` can be read without a site, so their links also lead to the source. The site has no source: there,
such a link becomes plain text. Sections between two comments become tabs. README.md is the first page. Each name in
`docs/reference/api.md` gets one more entry, from its docstring.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MOVED = {
    ROOT / "README.md": Path("index.md"),
    DOCS / "README.md": Path("pages.md"),
    ROOT / "CHANGELOG.md": Path("reference/changelog.md"),
}
"""Pages that have another place in the site than in `docs/`."""

REFERENCE = Path("reference/api.md")

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:)([^)\s#]*)(#[^)\s]*)?\)")

TABS = re.compile(r"^<!-- tabs\b.*?-->\n(.*?)^<!-- end of tabs -->\n", re.DOTALL | re.MULTILINE)
"""Sections of which a reader needs one. Where no site is made, they are headings with their texts."""


def place(file: Path) -> Path | None:
    """Where a file of the project is in the site. None: it is not."""
    if file in MOVED:
        return MOVED[file]
    if file == DOCS / "decisions":
        return Path("decisions/index.md")
    return file.relative_to(DOCS) if file.is_relative_to(DOCS) and file.is_file() else None


def page(source: Path, here: Path) -> str:
    """The text of a page for its place in the site."""

    def link(match: re.Match[str]) -> str:
        picture, text, address, anchor = match.groups()
        if not address:
            return match[0]
        target = place((source.parent / address).resolve())
        if target is None:
            return text
        return f"{picture}[{text}]({os.path.relpath(target, here.parent)}{anchor or ''})"

    # Every second part is code, which has no links.
    parts = re.split(r"(^```.*?^```$)", source.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    linked = "".join(part if number % 2 else LINK.sub(link, part) for number, part in enumerate(parts))
    return TABS.sub(lambda match: tabs(match[1]), linked)


def tabs(sections: str) -> str:
    """Make one tab of each section. Their headings have the level of the first one."""
    level = re.match(r"\s*(#+) ", sections)
    if level is None:
        raise ValueError(f"no heading comes after the beginning of tabs: {sections[:80]!r}")
    _, *parts = re.split(rf"^{level[1]} (.+)\n", sections, flags=re.MULTILINE)
    titles, texts = parts[::2], parts[1::2]
    return "".join(f'=== "{title}"\n{textwrap.indent(text, "    ")}' for title, text in zip(titles, texts, strict=True))


def decisions() -> str:
    """The list of all decisions."""
    found = sorted((DOCS / "decisions").glob("*.md"))
    rows = [f"- [{file.read_text(encoding='utf-8').partition('# ')[2].splitlines()[0]}]({file.name})" for file in found]
    head = "Design decisions and their reasons. “The design” is the first plan, which is not published."
    return f"# Decisions\n\n{head}\n\n" + "\n".join(rows) + "\n"


def is_of_this_package(path: str, name: str) -> bool:
    """Whether a name is defined here. python-socketio's own names are exported too, and it has their docstrings."""
    value = getattr(importlib.import_module(path), name)
    return str(getattr(value, "__module__", path)).startswith("asgi_realtime")


def from_docstrings(reference: str) -> dict[str, str]:
    """For each import path in the reference, a page with the docstrings of its names, in the same groups."""
    pages = {}
    for path, section in re.findall(r"^## `([\w.]+)`\n(.*?)(?=^## |\Z)", reference, re.DOTALL | re.MULTILINE):
        lines = [f"# `{path}`", "", f"All names that `{path}` exports, with their docstrings.", ""]
        module = "asgi_realtime.exports" if path == "asgi_realtime" else path
        for group, name, text in re.findall(r"^(?:### (.+)|\| `(\w+)` \| (.+) \|)$", section, re.MULTILINE):
            if group:
                lines += [f"## {group}", ""]
            elif is_of_this_package(path, name):
                lines += [f"::: {module}.{name}", ""]
            else:
                lines += [f"### `{name}`", "", text, ""]
        pages[path] = "\n".join(lines)
    return pages


def linked(reference: str) -> str:
    """The reference, whose headings of import paths lead to the pages with docstrings."""
    return re.sub(
        r"^## `([\w.]+)`$", r"## `\1`\n\n[Signatures and docstrings](api/\1.md)", reference, flags=re.MULTILINE
    )


def write(site: Path) -> None:
    """Write all pages, and remove those that were there."""
    folder = site / "pages"
    shutil.rmtree(folder, ignore_errors=True)
    sources = {*MOVED, *DOCS.rglob("*.md")}
    texts = {here: page(source, here) for source in sources if (here := place(source)) is not None}
    reference = texts[REFERENCE]
    texts[REFERENCE] = linked(reference)
    texts[Path("decisions/index.md")] = decisions()
    texts |= {REFERENCE.with_suffix("") / f"{path}.md": text for path, text in from_docstrings(reference).items()}
    for here, text in texts.items():
        (folder / here).parent.mkdir(parents=True, exist_ok=True)
        (folder / here).write_text(text, encoding="utf-8")
    for picture in [*DOCS.rglob("*.svg"), *DOCS.rglob("*.png")]:
        (folder / picture.relative_to(DOCS)).parent.mkdir(exist_ok=True)
        shutil.copy(picture, folder / picture.relative_to(DOCS))
    shutil.copy(DOCS / "site.css", folder)
    shutil.copy(DOCS / "zensical.toml", site)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
