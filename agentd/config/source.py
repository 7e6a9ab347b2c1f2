"""YAML 1.2 text to a tree that keeps lines.

Built on ruamel.yaml's events, not on its constructors: the events come one at a time, so every limit holds
before memory is spent, and values follow the core schema of YAML 1.2 (section 10.3.2) to the letter: `on` and
`12:30` are text, `1e-3` is a number. Tags, merge keys and a second document are refused.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from agentd.config.tree import NOWHERE, Items, Place, Problems, Scalar, Section, Tree

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 16
MAX_VALUES = 50_000
"""Values after aliases are expanded."""
MAX_ALIASES = 1000

_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def read(path: Path, problems: Problems) -> Section | None:
    """The file as a tree, or None; whatever is wrong with it is added to `problems`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            problems.add(NOWHERE, "not a regular file; expected a YAML file")
            return None
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        problems.add(NOWHERE, f"cannot be read: {error.strerror}")
        return None
    return parse(data, problems)


def parse(data: bytes, problems: Problems) -> Section | None:
    """As `read`, for bytes."""
    if len(data) > MAX_BYTES:
        problems.add(NOWHERE, f"larger than {MAX_BYTES} bytes; a configuration is a few kilobytes")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        problems.add(Place(line, column), f"not UTF-8: byte {data[error.start]:#04x}; save the file as UTF-8")
        return None
    return _compose(text, problems)


class _Refused(Exception):
    """Reading cannot go on; the message is the problem."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


def _compose(text: str, problems: Problems) -> Section | None:
    composer = _Composer(problems)
    try:
        tree = composer.document(YAML(typ="safe", pure=True).parse(text))
    except _Refused as refused:
        problems.add(refused.place, str(refused))
        return None
    except MarkedYAMLError as error:
        problems.add(*_syntax_problem(error, text))
        return None
    except YAMLError as error:
        problems.add(_place_of_reader_error(error, text), f"not YAML: {str(error).splitlines()[0]}")
        return None
    except Exception as error:  # the scanner itself stumbles over malformed escapes: contained, with the last place
        problems.add(composer.reached, f"not YAML after this: {type(error).__name__}: {error}")
        return None
    if isinstance(tree, Section):
        return tree
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        problems.add(NOWHERE, "empty; expected at least `node:` and `loops:`")
    else:
        problems.add(tree.place, "expected a mapping with `node:` and `loops:` at the top")
    return None


class _Composer:
    """Events to a tree, within the limits. Duplicate keys are reported and reading goes on."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self.reached = NOWHERE
        self._anchors: dict[str, tuple[Tree, int]] = {}
        self._values_total = 0
        self._aliases_total = 0

    def document(self, events: Iterator[Event]) -> Tree | None:
        """The only document of the stream, or None when there is none."""
        tree: Tree | None = None
        seen = False
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if seen:
                    raise _Refused(_place(event), "a second document; expected one document a file")
                if event.version is not None and tuple(event.version) != (1, 2):
                    raise _Refused(_place(event), "expected YAML 1.2: remove the %YAML line")
                seen = True
                tree = self._node(next(events), events, 1)
            elif isinstance(event, StreamEndEvent):
                break
        return tree

    def _node(self, event: Event, events: Iterator[Event], depth: int) -> Tree:
        place = self.reached = _place(event)
        if depth > MAX_DEPTH:
            raise _Refused(place, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, AliasEvent):
            return self._aliased(event, place)
        if not isinstance(event, NodeEvent):
            raise _Refused(place, f"not YAML: unexpected {type(event).__name__}")
        self._refuse_tag(event, place)
        before = self._count(place, 1)
        if isinstance(event, ScalarEvent):
            tree: Tree = _scalar(event, place)
        elif isinstance(event, SequenceStartEvent):
            tree = self._items(events, place, depth)
        else:
            tree = self._section(events, place, depth)
        if event.anchor is not None:
            self._anchors[str(event.anchor)] = (tree, self._values_total - before)
        return tree

    def _items(self, events: Iterator[Event], place: Place, depth: int) -> Items:
        items = []
        while not isinstance(event := next(events), SequenceEndEvent):
            items.append(self._node(event, events, depth + 1))
        return Items(tuple(items), place)

    def _section(self, events: Iterator[Event], place: Place, depth: int) -> Section:
        entries: dict[str, Tree] = {}
        keys: dict[str, Place] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key, at = self._key(event, events, depth)
            value = self._node(next(events), events, depth + 1)
            if key in keys:
                self._problems.add(at, f"duplicate key {key!r}: it is already on line {keys[key].line}; remove one")
                continue
            entries[key], keys[key] = value, at
        return Section(entries, keys, place)

    def _key(self, event: Event, events: Iterator[Event], depth: int) -> tuple[str, Place]:
        place = _place(event)
        tree = self._node(event, events, depth + 1)
        if not isinstance(tree, Scalar):
            raise _Refused(place, "a key that is a list or a mapping; expected a name")
        if tree.text == "<<":
            raise _Refused(place, "merge key `<<`: not part of YAML 1.2; write the keys out")
        return tree.text, place

    def _aliased(self, event: AliasEvent, place: Place) -> Tree:
        self._aliases_total += 1
        if self._aliases_total > MAX_ALIASES:
            raise _Refused(place, f"more than {MAX_ALIASES} aliases")
        if str(event.anchor) not in self._anchors:
            raise _Refused(place, f"alias *{event.anchor}: no anchor &{event.anchor} is complete before it")
        tree, values = self._anchors[str(event.anchor)]
        self._count(place, values)
        return tree

    def _count(self, place: Place, values: int) -> int:
        before = self._values_total
        self._values_total += values
        if self._values_total > MAX_VALUES:
            raise _Refused(place, f"more than {MAX_VALUES} values")
        return before

    def _refuse_tag(self, event: NodeEvent, place: Place) -> None:
        tag = getattr(event, "tag", None) or getattr(event, "ctag", None)
        if tag is not None and str(tag) not in ("", "None"):
            raise _Refused(place, f"tag {str(tag)[:60]}: expected plain values without tags")


def _scalar(event: ScalarEvent, place: Place) -> Scalar:
    text = str(event.value)
    if event.style is not None:
        return Scalar(text, text, place)
    return Scalar(_core_schema(text, place), text, place)


def _core_schema(text: str, place: Place) -> str | int | float | bool | None:
    """The value of a plain scalar (YAML 1.2.2, section 10.3.2). Refuses numbers that are not finite or past 64 bits."""
    if text in _WORDS:
        return _WORDS[text]
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
        if pattern.fullmatch(text):
            if len(text) > 32 or abs(number := int(text[2:] if base != 10 else text, base)) >= 2**63:
                raise _Refused(place, f"number {text[:40]}: expected at most 64 bits")
            return number
    if _NOT_FINITE.fullmatch(text):
        raise _Refused(place, f"number {text}: expected a finite number")
    if _FLOAT.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            raise _Refused(place, f"number {text[:40]}: expected a finite number")
        return value
    return text


def _place(event: Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark is not None else NOWHERE


def _syntax_problem(error: MarkedYAMLError, text: str) -> tuple[Place, str]:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark is not None else NOWHERE
    lines = text.splitlines()
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return place, "a tab in the indentation; indent with spaces"
    context = f" ({error.context})" if error.context else ""
    return place, f"not YAML: {error.problem or 'syntax error'}{context}"


def _place_of_reader_error(error: YAMLError, text: str) -> Place:
    position = getattr(error, "position", None)
    if not isinstance(position, int):
        return NOWHERE
    return Place(text.count("\n", 0, position) + 1, position - (text.rfind("\n", 0, position) + 1) + 1)
