"""What makes a loop the same loop after a reload: the hash of its resolved section.

Left out are the values of parameters and constant inputs, which reach a running loop through its mailbox, and
what nobody executes (documentation). Left in is everything else, with the bytes of models and of local code.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from agentd.config.plan import AgentPlan, LoopPlan, SignalPlan


def fingerprint(plan: LoopPlan) -> str:
    """SHA-256 as hexadecimal digits."""
    bare = msgspec.structs.replace(
        plan,
        hash="",
        devices=tuple(msgspec.structs.replace(device, signals=_bare(device.signals)) for device in plan.devices),
        agents=tuple(_bare_agent(agent) for agent in plan.agents),
        foreign=tuple(sorted(_bare(plan.foreign), key=lambda signal: signal.name)),
    )
    digest = hashlib.sha256(msgspec.json.encode(bare, order="deterministic"))
    for path in (*(device.path for device in plan.devices), *(agent.path for agent in plan.agents)):
        if path:
            digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
    for agent in plan.agents:
        for path in agent.models.values():
            manifest = Path(path).with_suffix(".json")
            if manifest.is_file():
                digest.update(hashlib.sha256(manifest.read_bytes()).digest())
    return digest.hexdigest()


def _bare(signals: tuple[SignalPlan, ...]) -> tuple[SignalPlan, ...]:
    return tuple(msgspec.structs.replace(signal, doc="") for signal in signals)


def _bare_agent(agent: AgentPlan) -> AgentPlan:
    inputs = tuple(
        wire if wire.constant is None else msgspec.structs.replace(wire, constant=0.0) for wire in agent.inputs
    )
    return msgspec.structs.replace(
        agent,
        params=dict.fromkeys(sorted(agent.params), 0),
        inputs=inputs,
        models=dict.fromkeys(agent.models, ""),
        signals=_bare(agent.signals),
    )
