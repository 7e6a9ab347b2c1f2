"""What the documentation says of built-in drivers, agents and units, made from their declarations.

    python -P -m tests.docs.reference     writes it into the pages

`test_reference.py` fails when a page and the code have come apart.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from agentd import registry
from agentd.config.fitting import kind_of
from agentd.config.schema import expected
from agents.agent import Agent, AppliedDeclaration, InputDeclaration, OutputDeclaration, ParamDeclaration
from hal.device import Device
from hal.model import SHIPPED, SUFFIX, Model
from hal.signal import ANY_UNIT, ActuatorDeclaration, Declaration
from hal.units import UNITS

EMPTY = '""'
ROOT = Path(__file__).resolve().parents[2]
INJECTED = {"model": "a model's name", "generator": "injected; `seed` chooses it"}

_SECTION = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def units() -> Iterable[str]:
    """A row a dimension, in the order of the table."""
    yield "| dimension | units |"
    yield "|---|---|"
    for dimension, entries in groupby(UNITS.values(), key=lambda entry: entry.dimension):
        names = ", ".join(f"`{entry.name or EMPTY}`" for entry in entries)
        yield f"| {'plain number' if dimension == 'one' else dimension} | {names} |"


def drivers() -> Iterable[str]:
    """A chapter a driver."""
    for name in registry.known_drivers():
        cls = registry.find_class(registry.DRIVERS, name)
        sensors = [d for d in cls.__declarations__.values() if not isinstance(d, ActuatorDeclaration)]
        actuators = [d for d in cls.__declarations__.values() if isinstance(d, ActuatorDeclaration)]
        yield from _head(name, cls, " Simulated." if cls.simulated else "")
        yield from _signals("sensor", sensors)
        yield from _signals("actuator", actuators)


def agents() -> Iterable[str]:
    """A chapter an agent."""
    for name in registry.known_agents():
        cls = registry.find_class(registry.AGENTS, name)
        declared = cls.__declarations__.values()
        yield from _head(name, cls, "")
        yield from _signals("input", [d for d in declared if isinstance(d, InputDeclaration)])
        yield from _signals("output", [d for d in declared if isinstance(d, OutputDeclaration)])
        yield from _signals("parameter", [d for d in declared if isinstance(d, ParamDeclaration)])
        reads = [f"`{d.of}`" for d in declared if isinstance(d, AppliedDeclaration)]
        if reads:
            yield f"Reads back what the guard applied of {', '.join(reads)}.\n"


def models() -> Iterable[str]:
    """The outputs of every shipped model."""
    yield "| model | output | unit | range | error on held-out tracks: mean, p99 | meaning |"
    yield "|---|---|---|---|---|---|"
    for path in sorted(SHIPPED.glob(f"*{SUFFIX}")):
        for output in Model(path).manifest.outputs:
            error = f"{output.error.mean:g}, {output.error.p99:g}" if output.error else ""
            cells = [f"`{path.stem}`", f"`{output.name}`", output.unit, f"{output.low:g} to {output.high:g}", error]
            yield f"| {' | '.join([*cells, output.doc])} |"


def _head(name: str, cls: type[Device] | type[Agent], note: str) -> Iterable[str]:
    yield f"### {name}\n"
    module = sys.modules[cls.__module__]
    yield f"{_paragraphs(inspect.getdoc(module))[0]}{note}\n"
    for paragraph in _paragraphs(inspect.getdoc(cls)):
        yield paragraph + "\n"
    parameters = registry.parameters(cls)
    if not parameters:
        return
    defaults = inspect.signature(cls).parameters
    yield from ("| key | takes | default |", "|---|---|---|")
    for parameter in parameters.values():
        takes = INJECTED.get(parameter.kind) or expected(parameter.hint)
        default = "" if parameter.required else _value(defaults[parameter.name].default)
        yield f"| `{parameter.name}` | {takes} | {default} |"
    yield ""
    for paragraph in _paragraphs(inspect.getdoc(vars(cls)["__init__"]))[:1]:
        yield paragraph.partition(" Raises ")[0] + "\n"


def _paragraphs(text: str | None) -> list[str]:
    """A docstring's paragraphs, each in one line."""
    return [" ".join(line.strip() for line in part.splitlines()) for part in (text or "").split("\n\n") if part]


def _value(value: object) -> str:
    """As the configuration writes it."""
    return "none" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _signals(what: str, declarations: Sequence[Declaration]) -> Iterable[str]:
    if not declarations:
        return
    extra = {"actuator": "safe", "parameter": "default"}.get(what)
    heads = [what, "type", "unit", "range", *([extra] if extra else []), "meaning"]
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for declaration in declarations:
        optional = " or absent" if declaration.type.optional else ""
        cells = [f"`{declaration.name}`", kind_of(declaration).partition(" ")[2] + optional]
        cells += ["any" if declaration.unit == ANY_UNIT else declaration.unit, _range(declaration)]
        cells += [_value(getattr(declaration, extra))] if extra else []
        yield f"| {' | '.join([*cells, declaration.doc.replace('|', chr(92) + '|')])} |"
    yield ""


def _range(declaration: Declaration) -> str:
    low, high = declaration.low, declaration.high
    if low is None:
        return "" if high is None else f"to {high:g}"
    return f"{low:g} or more" if high is None else f"{low:g} to {high:g}"


SECTIONS: dict[str, Callable[[], Iterable[str]]] = {
    "units": units,
    "drivers": drivers,
    "agents": agents,
    "models": models,
}
PAGES = ("docs/configuration.md", "docs/built-in-parts.md")


def filled(page: str) -> str:
    """The page with its generated sections as they should be."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return _SECTION.sub(lambda found: found[1] + "\n".join(SECTIONS[found[2]]()) + "\n" + found[3], text)


if __name__ == "__main__":
    for page in PAGES:
        (ROOT / page).write_text(filled(page), encoding="utf-8")
