"""The sections of a configuration that are the same for every node, with the range of each key.

Each section is read key by key, so that one wrong key does not hide the next. A key's `description` is what the
error message says was expected.
"""

from __future__ import annotations

import typing
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from agentd.config.tree import Items, Place, Problems, Scalar, Section, Tree, plain, shown

SECTIONS = ("node", "devices", "loops", "guard", "record", "http")
LATER = {"uplinks": "uplinks arrive in a later version; remove the section"}

MIN_RATE_HZ = 0.01
MAX_RATE_HZ = 2000.0

Text = Annotated[str, Meta(min_length=1, max_length=4096, description="a text")]
Switch = Annotated[bool, Meta(description="true or false")]
Number = Annotated[float, Meta(description="a number")]
Rate = Annotated[float, Meta(ge=MIN_RATE_HZ, le=MAX_RATE_HZ, description="a rate from 0.01 to 2000 Hz")]
Seconds = Annotated[float, Meta(ge=0, le=3600, description="a time from 0 to 3600 seconds")]
Positive = Annotated[float, Meta(gt=0, description="a number above 0")]
Priority = Annotated[int, Meta(ge=0, le=100, description="a whole number from 0 to 100")]
EntryT = TypeVar("EntryT", bound=Struct)


class LoopEntry(Struct, frozen=True):
    """`loops: {<name>: ...}` without its devices and agents."""

    rate_hz: Rate = 2000.0
    """A wrong or missing one is reported and counts as the fastest: no other number is then blamed for it."""
    realtime: Switch = False
    stall_ms: Annotated[int, Meta(ge=5, le=60_000, description="a whole number from 5 to 60000 ms")] | None = None
    threads: Annotated[int, Meta(ge=1, le=64, description="a whole number from 1 to 64")] = 1
    cpu: Annotated[int, Meta(ge=0, le=1023, description="a CPU's number, from 0")] | None = None


class GuardEntry(Struct, frozen=True):
    """`guard: {<actuator>: ...}`; what is not set here comes from the driver's declaration."""

    low: Number | None = None
    high: Number | None = None
    safe: Number | None = None
    slew_per_s: Positive | None = None
    safe_ramp_per_s: Positive | None = None
    stale_after_s: Seconds | None = None
    hold_s: Seconds = 0.0
    clear_after_s: Seconds = 0.0


class RecordEntry(Struct, frozen=True):
    """`record:`"""

    keep_days: Annotated[float, Meta(gt=0, le=36_500, description="a number of days above 0, up to 36500")] = 30.0
    keep_mb: Annotated[float, Meta(ge=1, le=1e9, description="a number of megabytes from 1")] = 500.0


class HttpEntry(Struct, frozen=True):
    """`http:`"""

    bind: Annotated[str, Meta(description="HOST:PORT, as in 127.0.0.1:8080")] = "127.0.0.1:8080"


class WireEntry(Struct, frozen=True):
    """The long form of an input, without its signal and its initial value."""

    delayed: Switch = False


def read_entry(
    section: Section,
    schema: type[EntryT],
    who: str,
    problems: Problems,
    *,
    elsewhere: tuple[str, ...] = (),
    required: dict[str, Place] | None = None,
) -> EntryT:
    """The section as `schema`; wrong and missing keys become problems and keep their default.

    `elsewhere` are keys that the caller reads itself; `required` gives the place to blame for each missing key.
    """
    fields = {field.name: field for field in msgspec.structs.fields(schema)}
    values: dict[str, object] = {}
    for key, place, tree in section:
        if key in fields:
            value = read_value(tree, fields[key].type, f"{who}.{key}", problems)
            if value is not None:
                values[key] = value
        elif key not in elsewhere:
            problems.unknown_key(place, who, key, [*fields, *elsewhere])
    for key, place in (required or {}).items():
        if key not in section.entries:
            problems.add(place, f"{who}: {key} is missing; expected {expected(fields[key].type)}")
    return schema(**values)


def read_value(tree: Tree, hint: object, who: str, problems: Problems) -> object | None:
    """The value as `hint` asks, or None after adding a problem."""
    try:
        value: object = msgspec.convert(plain(tree), hint, strict=True)
    except (msgspec.ValidationError, TypeError) as error:
        value, reason = None, f"; {error}" if isinstance(error, TypeError) else ""
        problems.add(tree.place, f"{who}: found {shown(tree)}, expected {expected(hint)}{reason}")
    else:
        if value is None:
            problems.add(tree.place, f"{who}: found nothing, expected {expected(hint)}; remove the key for the default")
    return value


def section_of(tree: Tree | None, who: str, problems: Problems) -> Section | None:
    """`tree` as a section; an absent or empty one is None without a problem."""
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        return None
    if not isinstance(tree, Section):
        problems.add(tree.place, f"{who}: found {shown(tree)}, expected a section with `name: ...` entries")
        return None
    return tree


def texts_of(tree: Tree | None, who: str, what: str, problems: Problems) -> list[tuple[str, Place]]:
    """The texts of a list with their places; anything else becomes a problem. `what` is what was expected."""
    if tree is None or (isinstance(tree, Scalar) and tree.value is None):
        return []
    if not isinstance(tree, Items):
        problems.add(tree.place, f"{who}: found {shown(tree)}, expected a list of {what}")
        return []
    found = []
    for item in tree.items:
        if isinstance(item, Scalar) and isinstance(item.value, str):
            found.append((item.value, item.place))
        else:
            problems.add(item.place, f"{who}: found {shown(item)} in the list, expected {what}")
    return found


_NOUNS: dict[object, tuple[str, str]] = {
    float: ("a number", "numbers"),
    int: ("a whole number", "whole numbers"),
    bool: ("true or false", "true or false each"),
    str: ("a text", "texts"),
    dict: ("a section", "sections"),
    list: ("a list", "lists"),
}


def expected(hint: object) -> str:
    """What a type hint asks for, in the words of a message."""
    described = [meta.description for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta)]
    return described[0] if described and described[0] else _noun(hint, several=False)


def _noun(hint: object, *, several: bool) -> str:
    if hint in _NOUNS:
        return _NOUNS[hint][several]
    arguments = [argument for argument in typing.get_args(hint) if argument not in (type(None), Ellipsis)]
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (list, tuple, set, frozenset) and arguments:
        return f"{'lists' if several else 'a list'} of {_noun(arguments[0], several=True)}"
    if arguments and origin is not dict:
        return " or ".join(expected(argument) for argument in arguments)
    return getattr(hint, "__name__", str(hint))
