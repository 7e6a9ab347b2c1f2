"""Commands carried out: leases, parameters, emergency stop, clearing latches, reloading."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import msgspec

from agentd.command import Answer, Clear, Command, EmergencyStop, Release, Reload, SetParam, Take
from agentd.event import Event
from agentd.loops import Loops
from agentd.runtime.letters import Grant, TakeBack
from agentd.supervisor import LoopSupervisor
from hal.clock import NS_PER_S, now_ns

MAX_TTL_S = 3600.0
MAX_PRIORITY = 1000
KINDS: dict[type[Command], str] = {EmergencyStop: "estop", Clear: "clear", Reload: "config"}
"""Events of what concerns more than one actuator or parameter; every other is a `command`."""


class CommandDesk:
    """Every command is answered and becomes an event with its origin."""

    def __init__(self, loops: Loops, tell: Callable[[Event], object], reload: Callable[[], Awaitable[Answer]]) -> None:
        self._loops, self._tell, self._reload = loops, tell, reload

    async def carry_out(self, command: Command, origin: str) -> Answer:
        """Do it, and record it whatever became of it."""
        answer = await self._do(command, origin)
        done = msgspec.to_builtins(command)
        self._tell(
            Event(
                time_ns=now_ns(),
                kind=KINDS.get(type(command), "command"),
                subject=str(done.get("signal") or done.get("name") or done.get("target") or self._loops.plan.node),
                severity="info" if answer.ok else "warning",
                message=f"{origin}: {_told(command, answer)}",
                data={"origin": origin, "command": done, "ok": answer.ok},
            )
        )
        return answer

    async def _do(self, command: Command, origin: str) -> Answer:
        if isinstance(command, Take):
            return await self._take(command, origin)
        if isinstance(command, Release):
            return await self._release(command, origin)
        if isinstance(command, SetParam):
            return await self._set_param(command)
        if isinstance(command, EmergencyStop):
            why = command.reason or "no reason given"
            self._loops.pull_emergency_stop(f"{why} ({origin})")
            return Answer(ok=True, message="every actuator goes to its safe value until 'agentctl clear node'")
        if isinstance(command, Clear):
            return await self._clear(command)
        return await self._reload()

    async def _take(self, command: Take, origin: str) -> Answer:
        supervisor = self._owner_of_actuator(command.signal)
        if isinstance(supervisor, Answer):
            return supervisor
        channel = next(c for c in supervisor.plan.channels if c.signal == command.signal)
        if not 0 < command.ttl_s <= MAX_TTL_S:
            return _no(f"ttl_s {command.ttl_s:g}: expected more than 0 and at most {MAX_TTL_S:g}")
        if not 0 <= command.priority <= MAX_PRIORITY:
            return _no(f"priority {command.priority}: expected 0 to {MAX_PRIORITY}")
        low = channel.low if command.low is None else command.low
        high = channel.high if command.high is None else command.high
        if not math.isfinite(command.value) or not channel.low <= command.value <= channel.high:
            return _no(f"{command.signal} = {command.value:g}: expected {channel.low:g} to {channel.high:g}")
        expires_ns = now_ns() + round(command.ttl_s * NS_PER_S)
        refusal = await supervisor.ask(
            lambda number: Grant(
                number=number, signal=command.signal, holder=_holder(origin), priority=command.priority,
                expires_ns=expires_ns, low=low, high=high, value=command.value,
            )
        )  # fmt: skip
        if refusal:
            return _no(refusal)
        return Answer(ok=True, message=f"{command.signal} is yours at {command.value:g} for {command.ttl_s:g} s")

    async def _release(self, command: Release, origin: str) -> Answer:
        supervisor = self._owner_of_actuator(command.signal)
        if isinstance(supervisor, Answer):
            return supervisor
        refusal = await supervisor.ask(
            lambda number: TakeBack(number=number, signal=command.signal, holder=_holder(origin))
        )
        return _no(refusal) if refusal else Answer(ok=True, message=f"{command.signal} is given back")

    async def _set_param(self, command: SetParam) -> Answer:
        owner, _, attribute = command.name.partition(".")
        for supervisor in self._loops.by_name.values():
            for agent in supervisor.plan.agents:
                if agent.name != owner:
                    continue
                constants = {i.attribute for i in agent.inputs if i.constant is not None}
                known = sorted(constants | set(agent.params))
                if attribute not in known:
                    return _no(f"{owner} has no parameter {attribute!r}; it has {', '.join(known) or 'none'}")
                if not math.isfinite(command.value):
                    return _no(f"{command.name}: expected a finite number")
                refusal = await supervisor.set_number(command.name, command.value)
                return _no(refusal) if refusal else Answer(ok=True, message=f"{command.name} = {command.value:g}")
        return _no(f"no agent {owner!r}")

    async def _clear(self, command: Clear) -> Answer:
        if command.target == "node":
            if not self._loops.emergency_stop:
                return _no("the emergency stop is not pulled")
            self._loops.pull_emergency_stop("")
            return Answer(ok=True, message="the emergency stop is cleared; agents have their actuators back")
        supervisor = self._loops.by_name.get(command.target)
        if supervisor is None:
            return _no(f"no loop {command.target!r}; there are {', '.join(self._loops.by_name)} and node")
        if supervisor.state != "latched" and not supervisor.quarantined:
            return _no(f"{command.target} is neither latched nor is a part of it quarantined")
        async with self._loops.changing:
            if self._loops.by_name.get(command.target) is not supervisor:
                return _no(f"{command.target} was replaced meanwhile; look again with 'agentctl status'")
            await supervisor.clear()
        return Answer(ok=True, message=f"{command.target} starts again with all its parts")

    def _owner_of_actuator(self, signal: str) -> LoopSupervisor | Answer:
        known = []
        for supervisor in self._loops.by_name.values():
            signals = [channel.signal for channel in supervisor.plan.channels]
            if signal in signals:
                return supervisor
            known += signals
        return _no(f"{signal} is no actuator; actuators: {', '.join(known) or 'none'}")


def _told(command: Command, answer: Answer) -> str:
    """What an event says: what was asked, what became of it, and why."""
    text = f"{type(command).__struct_config__.tag}: {answer.message}"
    if isinstance(command, EmergencyStop) and command.reason:
        text += f": {command.reason}"
    if answer.problems:
        more = f" (and {len(answer.problems) - 1} more: 'agentd check')" if len(answer.problems) > 1 else ""
        text += f": {answer.problems[0]}{more}"
    return text


def _no(message: str) -> Answer:
    return Answer(ok=False, message=message)


def _holder(origin: str) -> str:
    """The user, not the process: the next command of the same person renews the same lease."""
    return origin.partition(" pid ")[0] or origin
