"""The pages hang together: links lead somewhere, and what a reader meets first is as promised."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, text_of

_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
LONGEST = 230
"""Lines of a page: one that is longer is not read."""


def links(page: str) -> list[str]:
    """Targets of a page's links and pictures that are no address."""
    found = _LINK.findall(_FENCED.sub("", text_of(page)))
    return [target for target in found if not target.startswith(("http://", "https://"))]


def anchors(page: str) -> set[str]:
    """What the page's headings are called in a link."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_resolves(page: str) -> None:
    missing = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        there = target.is_file() and (not anchor or anchor in anchors(str(target.resolve().relative_to(ROOT))))
        missing += [] if there else [link]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_no_page_is_too_long_to_be_read(page: str) -> None:
    assert len(text_of(page).splitlines()) <= LONGEST


def test_the_readme_leads_to_every_page() -> None:
    assert {page for page in PAGES if page != "README.md"} <= set(links("README.md"))


def test_the_readme_opens_with_the_two_commands_and_the_makefile_has_them() -> None:
    first = blocks("README.md")[0].text
    commands = re.findall(r"^make (\w+)", first, re.MULTILINE)
    assert commands == ["run", "test"]
    targets = re.findall(r"^(\w+):", text_of("Makefile"), re.MULTILINE)
    assert set(commands) <= set(targets)


def test_the_changelog_has_a_heading_for_configuration_changes_in_every_version() -> None:
    versions = re.split(r"^## ", text_of("CHANGELOG.md"), flags=re.MULTILINE)[1:]
    assert versions
    assert [version.splitlines()[0] for version in versions if "### Configuration" not in version] == []
