"""Drivers and agents by name, and how an instance is made from its plan.

The name is the path: `sim.line_follower` is `hal/drivers/sim/line_follower.py`, `pid` is `agents/pid.py`,
`./mine.py` lies beside the configuration, and the one class there is it; after that come entry points
(groups `agentd.drivers` and `agentd.agents`). The resolver and the worker make instances through the same
two functions, `build_device` and `build_agent`. Nothing heavy is imported before a part asks for it.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import msgspec

import agents
import hal.drivers
from agentd.config.plan import AgentPlan, DevicePlan
from agents.agent import Agent
from hal.device import Device

PartT = TypeVar("PartT", Device, Agent)

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_INJECTED = re.compile(r"(?:[\w.]*\.)?(Model|Generator)(?:\s*\|\s*None)?")
_NOT_AGENTS = frozenset({"agent"})
"""Modules in `agents/` that are not agents: the base class."""


class RegistryError(Exception):
    """A driver or agent cannot be found, imported or constructed. The message is complete but for who asked."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[PartT]):
    """What is looked up: `noun` is the configuration's word, `package` where the built-in ones lie."""

    noun: str
    package: ModuleType
    base: type[PartT]
    group: str
    leave_out: frozenset[str] = frozenset()


DRIVERS = Kind("driver", hal.drivers, Device, "agentd.drivers")
AGENTS = Kind("agent", agents, Agent, "agentd.agents", _NOT_AGENTS)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One constructor parameter. `kind` is plain, model or generator; only plain ones have a `hint`."""

    name: str
    kind: str
    hint: object
    required: bool


def known_drivers() -> list[str]:
    """Names of the built-in drivers, by listing the directory: nothing is imported."""
    return _known(DRIVERS)


def known_agents() -> list[str]:
    """Names of the built-in agents, by listing the directory: nothing is imported."""
    return _known(AGENTS)


def find_class(kind: Kind[PartT], name: str, path: str = "") -> type[PartT]:
    """The one class that `name` means; `path` is the absolute path of a file beside the configuration.

    Raises RegistryError; its message names the nearest known name, or the failing file and line.
    """
    if path:
        return _the_class(kind, _import_file(kind, name, Path(path)), name)
    if _is_built_in(kind, name):
        module = _imported(f"{kind.noun} {name!r}", lambda: importlib.import_module(f"{kind.package.__name__}.{name}"))
        return _the_class(kind, module, name)
    return _from_entry_point(kind, name)


def parameters(cls: type) -> dict[str, Parameter]:
    """The constructor's parameters by name, without `*` and `**` ones. Raises RegistryError for an unusable hint."""
    constructor = inspect.getattr_static(cls, "__init__")
    if constructor is object.__init__:
        return {}
    found = {}
    for name, raw in list(inspect.signature(constructor).parameters.items())[1:]:
        if raw.kind in (raw.VAR_POSITIONAL, raw.VAR_KEYWORD):
            continue
        kind, hint = _classify(cls.__name__, name, raw.annotation, getattr(constructor, "__globals__", {}))
        found[name] = Parameter(name, kind, hint, raw.default is raw.empty)
    return found


def convert(parameter: Parameter, value: object) -> object:
    """A configured value as the constructor's annotation asks. Raises ValueError when it does not fit."""
    if parameter.hint is Any:
        return value
    return msgspec.convert(value, parameter.hint, strict=True)


def build_device(plan: DevicePlan) -> Device:
    """A new instance of the planned driver. Raises RegistryError, or what its constructor raises."""
    cls = find_class(DRIVERS, plan.driver, plan.path)
    known = parameters(cls)
    return cls(**_arguments(known, plan.arguments))


def build_agent(plan: AgentPlan) -> Agent:
    """A new instance of the planned agent, with its models and generator; its parameters have their defaults.

    Raises as `build_device`.
    """
    cls = find_class(AGENTS, plan.agent, plan.path)
    known = parameters(cls)
    given: dict[str, object] = _arguments(known, plan.arguments)
    for name, path in plan.models.items():
        from hal.model import Model  # noqa: PLC0415 - only agents with a model pay for it

        given[name] = Model(path)
    for index, parameter in enumerate(p for p in known.values() if p.kind == "generator"):
        import numpy as np  # noqa: PLC0415 - as above: a worker without arrays never imports numpy

        given[parameter.name] = np.random.default_rng([plan.seed, index])
    return cls(**given)


def guess(name: str, known: list[str]) -> str:
    """The nearest known name, or an empty text when none is near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return close[0] if close else ""


def nearest(name: str, known: list[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no known name is near."""
    close = guess(name, known)
    return f"; did you mean {close!r}?" if close else ""


def failing_line(error: BaseException, path: str) -> str:
    """`file:line` of the innermost frame of `error` that lies in the file at `path`, else an empty text."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{Path(path).name}:{error.lineno}"
    found, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            found = f"{Path(path).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _known(kind: Kind[PartT]) -> list[str]:
    """Modules whose text declares a public subclass; others are rooms that several parts share."""
    declares = re.compile(rf"^class [^_]\w*\(.*{kind.base.__name__}\b", re.MULTILINE)
    names = []
    for root in map(Path, kind.package.__path__):
        for file in root.rglob("*.py"):
            name = ".".join(file.relative_to(root).with_suffix("").parts)
            if _is_built_in(kind, name) and declares.search(file.read_text(encoding="utf-8")):
                names.append(name)
    return sorted(names)


def _is_built_in(kind: Kind[PartT], name: str) -> bool:
    if not _NAME.fullmatch(name) or name in kind.leave_out:
        return False
    return any(Path(root, *name.split(".")).with_suffix(".py").is_file() for root in kind.package.__path__)


def _import_file(kind: Kind[PartT], name: str, path: Path) -> ModuleType:
    if not path.is_file():
        near = nearest(path.name, [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else [])
        raise RegistryError(f"{kind.noun} {name!r}: there is no file {path}{near}")
    mark = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    module_name = f"agentd_local_{path.stem}_{mark}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise RegistryError(f"{kind.noun} {name!r}: expected a Python file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        _imported(f"{kind.noun} {name!r}", lambda: spec.loader.exec_module(module), str(path))  # type: ignore[union-attr]
    except RegistryError:
        del sys.modules[module_name]
        raise
    return module


ResultT = TypeVar("ResultT")


def _imported(who: str, load: Callable[[], ResultT], path: str = "") -> ResultT:
    """Run an import; whatever the foreign code raises becomes a RegistryError with its own line."""
    try:
        return load()
    except ModuleNotFoundError as error:
        hint = "; install it (a heavy part is an extra of agentd-node)"
        raise RegistryError(f"{who} cannot be imported: {_told(error, path)}{hint}") from error
    except (Exception, SystemExit) as error:  # foreign code: contained here, reported by the caller
        raise RegistryError(f"{who} cannot be imported: {_told(error, path)}") from error


def _told(error: BaseException, path: str) -> str:
    place = failing_line(error, path) if path else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{place + ': ' if place else ''}{type(error).__name__}: {text}"


def _the_class(kind: Kind[PartT], module: ModuleType, name: str) -> type[PartT]:
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, kind.base)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    ]
    if len(classes) != 1:
        found = ", ".join(c.__name__ for c in classes) or "none"
        raise RegistryError(
            f"{kind.noun} {name!r}: expected one public subclass of {kind.base.__name__} in its file, found {found}"
        )
    return classes[0]


def _from_entry_point(kind: Kind[PartT], name: str) -> type[PartT]:
    from importlib.metadata import EntryPoint, entry_points  # noqa: PLC0415 - slow to import, rarely needed

    offered: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=kind.group)}
    if name not in offered:
        known = sorted({*_known(kind), *offered})
        near = nearest(name, known) or nearest(name.rpartition(".")[2], known) or f"; known: {', '.join(known)}"
        raise RegistryError(f"unknown {kind.noun} {name!r}{near}")
    loaded = _imported(f"{kind.noun} {name!r} ({offered[name].value})", offered[name].load)
    if not (isinstance(loaded, type) and issubclass(loaded, kind.base)):
        raise RegistryError(
            f"{kind.noun} {name!r}: entry point {offered[name].value} is no subclass of {kind.base.__name__}"
        )
    return loaded


def _classify(who: str, name: str, annotation: object, names: Mapping[str, object]) -> tuple[str, object]:
    """Kind and hint of one parameter; a hint that is text is evaluated with the constructor's global names."""
    hint = annotation
    if isinstance(annotation, str):
        try:
            hint = eval(annotation, dict(names))  # noqa: S307 - the class's own text
        except Exception:  # a name under TYPE_CHECKING: its text still says what to inject
            hint = annotation
    injected = _INJECTED.fullmatch(hint if isinstance(hint, str) else _type_name(hint))
    if injected:
        return injected.group(1).lower(), None
    if hint is inspect.Parameter.empty or isinstance(hint, str):
        raise RegistryError(f"{who}: constructor parameter {name!r} needs a type that can be configured")
    return "plain", hint


def _type_name(hint: object) -> str:
    """The name of a class, also of the one class in `X | None`."""
    members = [member for member in typing.get_args(hint) if member is not type(None)]
    only = members[0] if len(members) == 1 and typing.get_origin(hint) in (types.UnionType, typing.Union) else hint
    return getattr(only, "__name__", "") if isinstance(only, type) else ""


def _arguments(known: Mapping[str, Parameter], configured: Mapping[str, object]) -> dict[str, object]:
    return {name: convert(known[name], value) for name, value in configured.items()}
