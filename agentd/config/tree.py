"""A configuration as a tree of values that know where they stand, and the list of what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from agentd.config.plan import Problem
from agentd.registry import nearest


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both from 1."""

    line: int
    column: int


NOWHERE = Place(0, 0)
"""For problems of the file as a whole."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text, a finite number, true, false or null; `text` is how it was written."""

    value: str | int | float | bool | None
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Tree, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with text keys; each key knows its own place."""

    entries: dict[str, Tree]
    keys: dict[str, Place]
    place: Place

    def get(self, key: str) -> Tree | None:
        """The value of `key`, or None when it is not there."""
        return self.entries.get(key)

    def __iter__(self) -> Iterator[tuple[str, Place, Tree]]:
        for key, value in self.entries.items():
            yield key, self.keys[key], value


Tree: TypeAlias = Scalar | Items | Section


def plain(tree: Tree) -> object:
    """The tree as Python values without places."""
    if isinstance(tree, Scalar):
        return tree.value
    if isinstance(tree, Items):
        return [plain(item) for item in tree.items]
    return {key: plain(value) for key, value in tree.entries.items()}


def shown(tree: Tree) -> str:
    """The value as a message shows it: as it was written, cut where it is long."""
    if isinstance(tree, Scalar):
        text = repr(tree.value) if isinstance(tree.value, str) else tree.text or "nothing"
        return text if len(text) <= 60 else f"{text[:57]}..."
    if isinstance(tree, Items):
        return f"a list of {len(tree.items)}" if tree.items else "an empty list"
    return f"a section with {', '.join(list(tree.entries)[:3])}" if tree.entries else "an empty section"


@dataclass(slots=True)
class Problems:
    """Everything that is wrong with one file. Past the limit problems are counted, not kept."""

    file: str
    found: list[Problem] = field(default_factory=list)
    dropped_total: int = 0

    LIMIT = 200

    def add(self, place: Place, message: str) -> None:
        """Message: who: what was found, what was expected; what to do."""
        problem = Problem(file=self.file, line=place.line, column=place.column, message=message)
        if len(self.found) >= self.LIMIT:
            self.dropped_total += 1
        elif problem not in self.found:
            self.found.append(problem)

    def unknown_key(self, place: Place, who: str, key: str, known: list[str]) -> None:
        """`key` means nothing here; names the nearest known one, or all."""
        hint = nearest(key, known) or f"; known: {', '.join(sorted(known))}"
        self.add(place, f"{who}: unknown key {key!r}{hint}")

    def sorted(self) -> tuple[Problem, ...]:
        """All problems in the order of the file."""
        ordered = sorted(self.found, key=lambda problem: (problem.line, problem.column))
        if self.dropped_total:
            ordered.append(Problem(file=self.file, line=0, column=0, message=f"and {self.dropped_total} more problems"))
        return tuple(ordered)
