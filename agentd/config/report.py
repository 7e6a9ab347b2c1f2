"""What `agentd check` prints: every problem with its place, or what the configuration amounts to."""

from __future__ import annotations

from agentd.config.plan import AgentPlan, ChannelPlan, LoopPlan, NodePlan, Resolution


def report(resolution: Resolution) -> str:
    """Lines for a person, without a final newline."""
    if resolution.plan is not None:
        return "\n".join(_summary(resolution.plan))
    count = len(resolution.problems)
    lines = [str(problem) for problem in resolution.problems]
    return "\n".join([*lines, f"{count} problem{'s' * (count != 1)}; nothing was started"])


def _summary(plan: NodePlan) -> list[str]:
    lines = [f"{plan.source}: good"]
    for loop in plan.loops:
        lines += ["", *_loop(loop)]
    host = f"[{plan.http.host}]" if ":" in plan.http.host else plan.http.host
    lines += ["", f"node {plan.node}: keeps {plan.record.keep_days:g} days or {plan.record.keep_mb:g} MB, "]
    lines[-1] += f"dashboard on http://{host}:{plan.http.port}"
    return lines


def _loop(loop: LoopPlan) -> list[str]:
    traits = [f"{loop.rate_hz:g} Hz"]
    traits += ["realtime"] if loop.realtime else []
    traits += [f"cpu {loop.cpu}"] if loop.cpu is not None else []
    traits += [f"{loop.threads} threads"] if loop.threads != 1 else []
    traits += [f"stall after {loop.stall_ms} ms"]
    lines = [f"loop {loop.name}: {', '.join(traits)}"]
    for device in loop.devices:
        mark = ", simulated" if device.simulated else ""
        count = len(device.signals)
        lines.append(f"  device {device.name}: {device.driver}{mark}, {count} signal{'s' * (count != 1)}")
    for position, agent in enumerate(loop.agents, 1):
        lines.append(f"  agent {position}. {agent.name}: {_agent(agent)}")
    lines += [f"  guard {_channel(channel, loop)}" for channel in loop.channels]
    if loop.foreign:
        lines.append(f"  reads from other loops: {', '.join(signal.name for signal in loop.foreign)}")
    return lines


def _agent(agent: AgentPlan) -> str:
    drives = [f"{drive.output} drives {drive.actuator}" for drive in agent.drives]
    models = [f"model {digest[:12]}" for digest in agent.model_hashes.values()]
    return ", ".join([agent.agent, *models, *drives])


def _channel(channel: ChannelPlan, loop: LoopPlan) -> str:
    drivers = [
        (drive.priority, f"{agent.name}.{drive.output}")
        for agent in loop.agents
        for drive in agent.drives
        if drive.actuator == channel.signal
    ]
    asked = " over ".join(name for _, name in sorted(drivers, reverse=True)) or "nobody: stays safe until someone asks"
    limits = [f"{channel.low:g} to {channel.high:g}", f"safe {channel.safe:g}"]
    limits += [f"at most {channel.slew_per_s:g} per s"] if channel.slew_per_s is not None else []
    limits += [f"fresh within {channel.stale_after_s:g} s"]
    limits += [f"only while {need.signal} {need.operator} {need.threshold:g}" for need in channel.requires]
    return f"{channel.signal} <- {asked}: {', '.join(limits)}"
