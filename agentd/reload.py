"""Apply a changed configuration: what did not change keeps ticking without a missed tick.

A loop whose hash is equal gets its changed parameters through the mailbox; any other changed loop is
replaced, safe first.
"""

from __future__ import annotations

from agentd.command import Answer
from agentd.config.plan import LoopPlan, NodePlan
from agentd.loops import Loops


async def apply(loops: Loops, plan: NodePlan) -> Answer:
    """Bring the node from the plan in force to this one. Refused as a whole when it needs a restart."""
    async with loops.changing:
        return await _apply(loops, plan)


async def _apply(loops: Loops, plan: NodePlan) -> Answer:
    old = loops.plan
    if plan.node != old.node or plan.http != old.http:
        return Answer(ok=False, message="node and http change only with a restart of the daemon; nothing was changed")
    before = {loop.name: loop for loop in old.loops}
    after = {loop.name: loop for loop in plan.loops}
    done: list[str] = []
    problems: list[str] = []
    for name in before.keys() - after.keys():
        await loops.remove(name)
        done.append(f"{name} removed")
    changed = [name for name in after if name in before and after[name].hash != before[name].hash]
    for name in changed:  # all are stopped before any is started: a device may have moved between them
        await loops.remove(name)
    for name, loop in after.items():
        if name in changed or name not in before:
            loops.add(loop)
            done.append(f"{name} {'replaced' if name in changed else 'added'}")
        else:
            supervisor = loops.by_name[name]
            supervisor.plan = loop
            for number, value in changed_numbers(before[name], loop).items():
                refusal = await supervisor.set_number(number, value)
                if refusal and supervisor.state != "running":
                    supervisor.numbers.pop(number, None)  # the plan's own value counts from the next start
                    done.append(f"{number} = {value:g} when {name} starts again")
                else:
                    (problems if refusal else done).append(refusal or f"{number} = {value:g}")
    loops.plan = plan
    message = "; ".join(done) if done else "nothing had changed"
    return Answer(ok=not problems, message=message, problems=tuple(problems))


def numbers(loop: LoopPlan) -> dict[str, float]:
    """Every parameter and constant input of a loop's agents, by name."""
    found = {f"{agent.name}.{name}": float(value) for agent in loop.agents for name, value in agent.params.items()}
    for agent in loop.agents:
        found |= {f"{agent.name}.{i.attribute}": i.constant for i in agent.inputs if i.constant is not None}
    return found


def changed_numbers(before: LoopPlan, after: LoopPlan) -> dict[str, float]:
    """What to send to a loop that keeps ticking."""
    old = numbers(before)
    return {name: value for name, value in numbers(after).items() if old.get(name) != value}
