"""Conformance: what every driver and every agent promises, as checks that anyone can run on theirs.

    def test_my_driver_conforms() -> None:
        check_device(lambda: Tmp117(FakeI2c({0x0F: b"\\x01\\x17"})))

    def test_my_agent_conforms() -> None:
        check_agent(lambda: Thermostat())

A factory is asked for, because some promises need a second instance. All that was found is told at once, in one
`NotConforming`. What runs is the part itself, on ticks of a virtual clock; a driver needs its real or its fake bus.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agentd import registry
from agentd.runtime import keyframe
from agentd.testing.watch import outside_calls
from agents.agent import (
    Agent,
    AppliedDeclaration,
    InputDeclaration,
    NoAnswer,
    OutputDeclaration,
    ParamDeclaration,
    StateDeclaration,
)
from hal.device import Device, typed
from hal.signal import ActuatorDeclaration, Declaration, SensorDeclaration, Tick

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARRAY_INPUTS = 2
"""Signals in an array input of any length."""

EXTREMES = (0.0, -0.0, 1e-300, 1e12, -1e12, 1e308, -1e308, math.inf, -math.inf)
"""Numbers that a signal may bring: finite in the row is not promised, only NaN is absent."""


class NotConforming(AssertionError):
    """The promises that were not kept, a line each."""


class _Findings:
    """Collects what was found, each kind once."""

    def __init__(self, who: type) -> None:
        self._who, self._lines = who.__name__, dict[str, None]()

    def __call__(self, kept: bool, broken: str) -> None:
        if not kept:
            self._lines[broken] = None

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """An exception in here is a finding."""
        try:
            yield
        except Exception as error:
            self._lines[f"{what} raises {type(error).__name__}: {error}"] = None

    def tell(self) -> None:
        """Raise what there is."""
        if self._lines:
            raise NotConforming("\n".join(f"{self._who}: {line}" for line in self._lines))


def check_device(make: Callable[[], Device], *, ticks: int = 20, period_s: float = 0.01) -> None:
    """Raise NotConforming unless the driver keeps these promises.

    It is documented and its constructor can be configured; the constructor opens nothing; before `open` sensors are
    absent and actuators safe; safe values may be written before the first read; signals are added in `open` only;
    `read` sets every sensor, to its type and range and to whole steps of its resolution, and nothing else; `write`
    takes the whole range and changes no signal; after `close` it can be opened again, with the same signals.
    """
    with outside_calls(files_only=True) as calls:
        device = make()
    found = _Findings(type(device))
    _declares(device, found)
    found(not calls, f"the constructor uses {', '.join(calls)}: open what is needed in open()")
    for declaration in device.signals.values():
        expected = typed(declaration, declaration.safe) if isinstance(declaration, ActuatorDeclaration) else None
        is_so = getattr(device, declaration.name) == expected
        found(is_so, f"{declaration.name}: before open found {getattr(device, declaration.name)!r}, not {expected!r}")
    tick = Tick(0, 1_000_000_000, period_s)
    for _ in range(2):
        with found.doing("open, safe values, prepare"):
            device.open()
            _write(device, tick, found, lambda d: d.safe)
            device.prepare()
            signals = list(device.signals)
            for number in range(ticks):
                _read(device, tick, found)
                _write(device, tick, found, (lambda d: d.low, lambda d: d.high, lambda d: d.safe)[number % 3])
                _next(tick, period_s)
            found(list(device.signals) == signals, "adds signals after open: the row is laid out then")
        with found.doing("close"):
            device.close()
    found.tell()


def _read(device: Device, tick: Tick, found: _Findings) -> None:
    actuators = _values(device, ActuatorDeclaration)
    before = _Before(device, tick)
    with found.doing("read"):
        device.read(tick)
    before.check("read", found)
    found(_values(device, ActuatorDeclaration) == actuators, "read changes an actuator: the guard has decided it")
    for declaration in device.signals.values():
        if isinstance(declaration, SensorDeclaration):
            _fits(declaration, getattr(device, declaration.name), found)


def _write(device: Device, tick: Tick, found: _Findings, choose: Callable[[ActuatorDeclaration], float | None]) -> None:
    for declaration in device.signals.values():
        if isinstance(declaration, ActuatorDeclaration):
            setattr(device, declaration.name, typed(declaration, choose(declaration) or 0.0))
    commanded = _values(device, ActuatorDeclaration)
    before = _Before(device, tick)
    with found.doing(f"write of {commanded}"):
        device.write(tick)
    before.check("write", found)
    found(_values(device, ActuatorDeclaration) == commanded, "write changes an actuator: the guard has decided it")


def check_agent(make: Callable[[], Agent], *, ticks: int = 200, period_s: float = 0.01, seed: int = 0) -> None:
    """Raise NotConforming unless the agent keeps these promises.

    It is documented and its constructor can be configured; `step` takes whatever its inputs may bring, changes no
    input and no parameter, creates no attribute, sets outputs to their type and range, and asks nobody for the time,
    for chance or for a file (as far as Python's own functions go); parameters may change within their range; two
    instances do the same; state goes through a keyframe, and who takes it goes on with the same bytes.
    """
    agent, twin = make(), make()
    found = _Findings(type(agent))
    _declares(agent, found)
    for declaration in agent.signals.values():
        if isinstance(declaration, AppliedDeclaration):
            of = agent.signals.get(declaration.of)
            found(isinstance(of, OutputDeclaration), f"{declaration.name}: is applied of {declaration.of!r}, no output")
    with found.doing("prepare"):
        agent.prepare()
        twin.prepare()
    chance, tick = random.Random(seed), Tick(0, 1_000_000_000, period_s)
    for run in ("the run", "the run after a keyframe"):
        with found.doing(run):
            _run_both((agent, twin), found, chance, tick, ticks)
            twin = make()
            _copy_params(agent, twin)
            twin.prepare()
            twin.set_state(keyframe.decode(keyframe.encode([("it", agent)]))["it"])
    found.tell()


def _run_both(both: tuple[Agent, Agent], found: _Findings, chance: random.Random, tick: Tick, ticks: int) -> None:
    """The same inputs to both. The second is a second instance, or one that was restored from a keyframe."""
    agent, twin = both
    for number in range(ticks):
        if number == ticks // 2:
            _change_params(agent, chance, found)
            _copy_params(agent, twin)
        for declaration in agent.signals.values():
            if isinstance(declaration, (InputDeclaration, AppliedDeclaration)):
                value = _some_value(declaration, chance)
                setattr(agent, declaration.name, value)
                setattr(twin, declaration.name, value)
        answered = [_step(each, tick, found) for each in (agent, twin)]
        same = answered[0] == answered[1] and (not answered[0] or _bytes(agent) == _bytes(twin))
        found(same, "the same inputs and state give other outputs: is all that step keeps declared as State?")
        if not same:
            return
        _next(tick, tick.dt_s)


def _step(agent: Agent, tick: Tick, found: _Findings) -> bool:
    """Whether it answered."""
    kinds = (InputDeclaration, AppliedDeclaration, ParamDeclaration)
    given = _values(agent, *kinds)
    before, answered = _Before(agent, tick), False
    with found.doing("step"), outside_calls() as calls:
        try:
            agent.step(tick)
            answered = True
        except NoAnswer:
            pass
    found(not calls, f"step uses {', '.join(calls)}: it gets a tick, a seeded generator and its models")
    before.check("step", found)
    found(_values(agent, *kinds) == given, "step changes an input or a parameter")
    for declaration in agent.signals.values() if answered else ():
        if isinstance(declaration, OutputDeclaration):
            _fits(declaration, getattr(agent, declaration.name), found, may_be_absent=True)
    return answered


def _change_params(agent: Agent, chance: random.Random, found: _Findings) -> None:
    for declaration in agent.signals.values():
        if isinstance(declaration, ParamDeclaration):
            low, high = declaration.low, declaration.high
            value = float(getattr(agent, declaration.name)) * chance.uniform(0.5, 2.0)
            value = min(max(value, -math.inf if low is None else low), math.inf if high is None else high)
            setattr(agent, declaration.name, typed(declaration, value))
            with found.doing(f"params_changed of {declaration.name} to {value}"):
                agent.params_changed(frozenset((declaration.name,)))


def _copy_params(agent: Agent, other: Agent) -> None:
    for declaration in agent.signals.values():
        name = declaration.name
        if isinstance(declaration, ParamDeclaration) and getattr(other, name) != getattr(agent, name):
            setattr(other, name, getattr(agent, name))
            other.params_changed(frozenset((name,)))


def _declares(part: Device | Agent, found: _Findings) -> None:
    """Documented, configurable, and declared consistently."""
    cls = type(part)
    found(bool((cls.__doc__ or "").strip()) and cls.__doc__ != cls.__base__.__doc__, "has no docstring")
    found(bool(part.signals), "declares no signals")
    with found.doing("its constructor's signature"):
        registry.parameters(cls)
    for declaration in part.signals.values():
        with found.doing(f"declaration of {declaration.name}"):
            declaration.check()
        if isinstance(declaration, ParamDeclaration):
            low, high = declaration.low, declaration.high
            in_range = (low is None or low <= declaration.default) and (high is None or declaration.default <= high)
            found(in_range, f"{declaration.name}: default {declaration.default} is not within {low} to {high}")
        if isinstance(declaration, StateDeclaration) and declaration.type.kind == "array":
            found(
                getattr(part, declaration.name) is not None, f"{declaration.name}: set array state in the constructor"
            )


class _Before:
    """What a call must not change."""

    def __init__(self, part: Device | Agent, tick: Tick) -> None:
        self._part, self._tick = part, tick
        self._attributes = set(part.__dict__) | set(part.signals)
        self._now = (tick.number, tick.time_ns, tick.dt_s, tick.late)

    def check(self, what: str, found: _Findings) -> None:
        created = sorted(set(self._part.__dict__) - self._attributes)
        found(not created, f"{what} creates {', '.join(created)}: declare it, or set it in the constructor")
        tick = self._tick
        found(self._now == (tick.number, tick.time_ns, tick.dt_s, tick.late), f"{what} changes the tick")


def _fits(declaration: Declaration, value: object, found: _Findings, *, may_be_absent: bool = False) -> None:
    """Type, range and resolution of a value that was set."""
    name, kind = declaration.name, declaration.type.kind
    if value is None:
        kept = declaration.type.optional or may_be_absent
        found(kept, f"{name}: is None; declare `{kind} | None` for what may be absent")
    elif kind == "array":
        _fits_array(declaration, value, found)
    elif isinstance(value, bool) != (kind == "bool") or not isinstance(value, (float, int)):
        found(type(value).__name__.rstrip("_0123456789") == kind, f"{name}: is {value!r}, expected {kind}")
    elif isinstance(value, float) and kind == "int":
        found(False, f"{name}: is {value!r}, expected int")
    elif not math.isnan(value):
        found(math.isfinite(value), f"{name}: is {value}; set None for what has no value")
        low, high = declaration.low, declaration.high
        inside = (low is None or value >= low) and (high is None or value <= high)
        found(inside, f"{name}: is {value}, declared {low} to {high}")
        steps = value / declaration.resolution if declaration.resolution and math.isfinite(value) else 0.0
        whole = abs(steps - round(steps)) < 1e-6 * max(1.0, abs(steps))
        found(whole, f"{name}: is {value}, no whole number of steps of {declaration.resolution}")


def _fits_array(declaration: Declaration, value: Any, found: _Findings) -> None:
    shape, dtype = getattr(value, "shape", None), str(getattr(value, "dtype", "no array"))
    wanted = declaration.shape or ()
    fits = shape is not None and len(shape) == len(wanted)
    fits = fits and all(want in (-1, size) for want, size in zip(wanted, shape or (), strict=True))
    found(fits, f"{declaration.name}: has shape {shape}, declared {wanted}")
    found(
        dtype == declaration.type.dtype.rstrip("_"),
        f"{declaration.name}: is {dtype}, declared {declaration.type.dtype}",
    )


def _some_value(declaration: Declaration, chance: random.Random) -> object:
    """What a wire may bring: mostly ordinary numbers, sometimes extreme ones, and nothing where that is allowed."""
    if declaration.type.optional and chance.random() < 0.3:
        return None
    if declaration.type.kind == "array":
        return _some_array(declaration, chance)
    return _some_number(declaration.type.kind, declaration, chance)


def _some_number(kind: str, declaration: Declaration, chance: random.Random) -> float | int | bool:
    if kind == "bool":
        return chance.random() < 0.5
    low = -10.0 if declaration.low is None else declaration.low
    high = 10.0 if declaration.high is None else declaration.high
    value = chance.choice(EXTREMES) if chance.random() < 0.05 else chance.uniform(low, max(low, high))
    return value if kind == "float" else round(min(max(value, -(2.0**62)), 2.0**62))


def _some_array(declaration: Declaration, chance: random.Random) -> NDArray[Any]:
    import numpy as np  # noqa: PLC0415 - only for parts with arrays

    shape = tuple(ARRAY_INPUTS if size < 0 else size for size in declaration.shape or ())
    if declaration.type.dtype.startswith("float"):
        numbers = [_some_number("float", declaration, chance) for _ in range(math.prod(shape))]
        array = np.array(numbers, dtype=declaration.type.dtype).reshape(shape)
    else:
        array = np.frombuffer(chance.randbytes(math.prod(shape) * 8), np.uint64).reshape(shape)
        array = array.astype(declaration.type.dtype.rstrip("_"))
    array.setflags(write=False)
    return array


def _values(part: Device | Agent, *kinds: type[Declaration]) -> dict[str, object]:
    """Attributes that must stay; arrays by identity: they are read-only."""
    found = {d.name: getattr(part, d.name) for d in part.signals.values() if isinstance(d, kinds)}
    return {name: id(value) if hasattr(value, "dtype") else value for name, value in found.items()}


def _bytes(agent: Agent) -> list[bytes]:
    """The outputs as they would be stored."""
    values = [getattr(agent, d.name) for d in agent.signals.values() if isinstance(d, OutputDeclaration)]
    return [
        value.tobytes() if hasattr(value, "tobytes") else b"" if value is None else struct.pack("<d", value)
        for value in values
    ]


def _next(tick: Tick, period_s: float) -> None:
    tick.number += 1
    tick.time_ns += round(period_s * 1e9)
