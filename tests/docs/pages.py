"""The pages of the documentation, and the files that a reader is told to copy out of them.

A fenced block whose info string has a name after the language, as in ```` ```yaml oven.yaml ````, is a whole file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(sorted(["README.md", "CHANGELOG.md", *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]))

_BLOCK = re.compile(r"^```(\w+)(?: +(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `name` is empty unless it is a whole file."""

    page: str
    language: str
    name: str
    text: str


def text_of(page: str) -> str:
    """The page as it lies in the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Its fenced blocks, in order."""
    return [Block(page, *found.groups(default="")) for found in _BLOCK.finditer(text_of(page))]


def files(page: str) -> dict[str, str]:
    """The whole files of a page, by name."""
    return {block.name: block.text for block in blocks(page) if block.name}


def write_files(page: str, folder: Path) -> list[Path]:
    """Copy the files of a page out, as its reader would."""
    paths = []
    for name, text in files(page).items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths
