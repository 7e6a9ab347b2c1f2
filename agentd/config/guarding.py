"""`guard:` and the drivers' declarations to one channel for each actuator."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentd.config.draft import Known, LoopDraft, NodeDraft
from agentd.config.plan import ChannelPlan, Requirement
from agentd.config.schema import GuardEntry, read_entry, section_of, texts_of
from agentd.config.tree import Place, Problems, Section, Tree, shown
from agentd.config.wiring import Drive
from hal.signal import ActuatorDeclaration

_REQUIREMENT = re.compile(r"\s*(\S+?)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")
_EMPTY = Section({}, {}, Place(0, 0))


@dataclass(frozen=True, slots=True)
class Guarded:
    """One entry of `guard:` that names an actuator."""

    name: str
    place: Place
    section: Section
    entry: GuardEntry


class Guarding:
    """Reads `guard:` once; `channels` then answers for each loop."""

    def __init__(self, node: NodeDraft, tree: Tree | None, problems: Problems) -> None:
        self._node = node
        self._problems = problems
        self._entries: dict[str, Guarded] = {}
        section = section_of(tree, "guard", problems)
        for name, place, value in section or ():
            self._read(name, place, value)

    def channels(self, loop: LoopDraft, drives: list[Drive]) -> tuple[ChannelPlan, ...]:
        """A channel for every actuator of the loop's devices, in the order of the file."""
        self._refuse_rivals(drives)
        names = self._node.names(actuators_of=loop.name)
        return tuple(self._channel(known, loop) for known in map(self._node.find, names) if known is not None)

    def _read(self, name: str, place: Place, tree: Tree) -> None:
        who = f"guard.{name}"
        known = self._node.find(name)
        if known is None:
            if not self._node.unclear(name):
                self._problems.add(place, f"guard: unknown signal {name!r}{self._node.hint(name)}")
        elif not known.actuator:
            self._problems.add(place, f"guard: {name} is not an actuator; only actuators are guarded")
        section = section_of(tree, who, self._problems) or _EMPTY
        entry = read_entry(section, GuardEntry, who, self._problems, elsewhere=("requires",))
        if known is not None and known.actuator:
            self._entries[name] = Guarded(name, place, section, entry)

    def _channel(self, known: Known, loop: LoopDraft) -> ChannelPlan:
        declared = known.declaration
        assert isinstance(declared, ActuatorDeclaration)
        guarded = self._entries.get(known.name, Guarded(known.name, Place(0, 0), _EMPTY, GuardEntry()))
        entry = guarded.entry
        low, high, safe = self._range(guarded, declared)
        period_s = 1.0 / loop.entry.rate_hz
        stale_after_s = _or(entry.stale_after_s, max(3 * period_s, 0.1))
        if stale_after_s < period_s:
            self._wrong(guarded, "stale_after_s", f"expected at least one period of loop {loop.name}, {period_s:g} s")
        slew_per_s = entry.slew_per_s or declared.slew_per_s
        if declared.slew_per_s is not None and slew_per_s is not None and slew_per_s > declared.slew_per_s:
            self._wrong(guarded, "slew_per_s", f"expected at most the driver's own limit, {declared.slew_per_s:g}")
        return ChannelPlan(
            signal=known.name,
            type=declared.type.kind,
            low=low,
            high=high,
            safe=safe,
            slew_per_s=slew_per_s,
            safe_ramp_per_s=entry.safe_ramp_per_s or declared.safe_ramp_per_s,
            stale_after_s=stale_after_s,
            hold_s=entry.hold_s,
            clear_after_s=entry.clear_after_s,
            requires=self._requirements(guarded, loop),
        )

    def _range(self, guarded: Guarded, declared: ActuatorDeclaration) -> tuple[float, float, float]:
        """Low, high and safe value, checked against the driver's own and against each other."""
        assert declared.low is not None and declared.high is not None
        entry = guarded.entry
        low, high = _or(entry.low, declared.low), _or(entry.high, declared.high)
        safe = _or(entry.safe, declared.safe)
        unit = f" {declared.unit}" if declared.unit else ""
        own = f"the driver's own range {declared.low:g} to {declared.high:g}{unit}"
        if declared.type.kind != "float" and self._broken(guarded):
            return low, high, safe
        outside = [key for key, value in (("low", low), ("high", high)) if not declared.low <= value <= declared.high]
        for key in outside:
            self._wrong(guarded, key, f"expected a value in {own}: the guard may only narrow it")
        if outside:
            return low, high, safe
        if low > high:
            self._wrong(guarded, "low" if entry.low is not None else "high", f"expected low {low:g} <= high {high:g}")
        elif not low <= safe <= high and entry.safe is not None:
            self._wrong(guarded, "safe", f"expected a value from {low:g} to {high:g}{unit}")
        elif not low <= safe <= high:
            hint = f"the driver's safe value {safe:g} is outside {low:g} to {high:g}; set `safe:` as well"
            self._problems.add(guarded.place, f"guard.{guarded.name}: {hint}")
        return low, high, safe

    def _broken(self, guarded: Guarded) -> bool:
        """Whether a range for whole numbers, or for false and true, is no such range; it is reported."""
        values = {key: getattr(guarded.entry, key) for key in ("low", "high", "safe")}
        found = [key for key, value in values.items() if value is not None and not float(value).is_integer()]
        for key in found:
            self._wrong(guarded, key, "expected a whole number: the actuator takes no others")
        return bool(found)

    def _wrong(self, guarded: Guarded, key: str, message: str) -> None:
        tree = guarded.section.get(key)
        if tree is not None:
            self._problems.add(tree.place, f"guard.{guarded.name}.{key}: found {shown(tree)}, {message}")

    def _requirements(self, guarded: Guarded, loop: LoopDraft) -> tuple[Requirement, ...]:
        who = f"guard.{guarded.name}.requires"
        form = "`SIGNAL > NUMBER` (or <, <=, >=)"
        found = []
        for text, place in texts_of(guarded.section.get("requires"), who, form, self._problems):
            match = _REQUIREMENT.fullmatch(text)
            if match is None:
                self._problems.add(place, f"{who}: found {text!r}, expected {form}")
                continue
            known = self._node.find(match[1])
            if known is None:
                if not self._node.unclear(match[1]):
                    self._problems.add(place, f"{who}: unknown signal {match[1]!r}{self._node.hint(match[1])}")
            elif known.declaration.type.kind == "array":
                self._problems.add(place, f"{who}: {match[1]} is an array, expected a signal that is one number")
            else:
                if known.owner.loop and known.owner.loop != loop.name:
                    loop.foreign.setdefault(known.name, known.plan("foreign"))
                found.append(Requirement(signal=match[1], operator=match[2], threshold=float(match[3])))
        return tuple(found)

    def _refuse_rivals(self, drives: list[Drive]) -> None:
        """Agents that drive the same actuator need distinct priorities."""
        holders: dict[tuple[str, int], Drive] = {}
        for drive in drives:
            first = holders.setdefault((drive.plan.actuator, drive.plan.priority), drive)
            if first is not drive:
                both = f"{first.agent.name}.{first.plan.output} (line {first.place.line})"
                mine = f"{drive.agent.name}.{drive.plan.output} (line {drive.place.line})"
                self._problems.add(
                    drive.place,
                    f"{drive.agent.name}: {drive.plan.actuator} is driven by {both} and by {mine} with the same "
                    f"priority {drive.plan.priority}; give each agent its own `priority:`",
                )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
