"""The order in which a loop steps its agents: producers first, ties in file order; a cycle is an error."""

from __future__ import annotations

from agentd.config.draft import AgentDraft
from agentd.config.inputs import Edge
from agentd.config.tree import Problems


def step_order(agents: list[AgentDraft], edges: list[Edge], problems: Problems) -> list[AgentDraft]:
    """The agents, producers first. A cycle is reported once, by the wire that closes it, and file order kept."""
    now = [edge for edge in edges if not edge.delayed]
    ordered, stuck = _ordered(agents, now)
    if stuck:
        _report_cycle(now, stuck, problems)
        return agents
    needed = [edge for edge in edges if edge.needed]
    _, stuck = _ordered(agents, needed)
    if stuck:
        _report_wait(needed, stuck, problems)
    return ordered


def _ordered(agents: list[AgentDraft], edges: list[Edge]) -> tuple[list[AgentDraft], set[str]]:
    """Producers first; and the names of those that can never come, because they wait for each other."""
    waiting = {agent.name: {e.producer for e in edges if e.consumer == agent.name} for agent in agents}
    ordered: list[AgentDraft] = []
    while ready := next((a for a in agents if a.name in waiting and not waiting[a.name]), None):
        ordered.append(ready)
        del waiting[ready.name]
        for needs in waiting.values():
            needs.discard(ready.name)
    return ordered, set(waiting)


def _report_wait(edges: list[Edge], among: set[str], problems: Problems) -> None:
    """Each has a value only after the other: nobody would ever be stepped."""
    cycle, path = _shown_cycle(edges, among)
    last = next(edge for edge in cycle if edge.delayed)
    problems.add(
        last.place,
        f"{last.consumer}: waits for itself: {path}: at the first tick nobody has set {last.wire}; "
        f"write {{signal: {last.wire}, delayed: true, initial: NUMBER}} with the value to begin with",
    )


def _shown_cycle(edges: list[Edge], among: set[str]) -> tuple[list[Edge], str]:
    cycle = _cycle([edge for edge in edges if edge.producer in among and edge.consumer in among])
    return cycle, " -> ".join([cycle[0].producer, *(edge.consumer for edge in cycle)])


def _report_cycle(edges: list[Edge], among: set[str], problems: Problems) -> None:
    cycle, path = _shown_cycle(edges, among)
    last = max(cycle, key=lambda edge: (edge.place.line, edge.place.column))
    problems.add(
        last.place,
        f"{last.consumer}: cyclic wiring: {path}; "
        f"write one of these inputs as {{signal: {last.wire}, delayed: true, initial: NUMBER}} "
        "to read the value of the tick before",
    )


def _cycle(edges: list[Edge]) -> list[Edge]:
    """One cycle of a graph in which every consumer waits for a producer: walk back until a node repeats."""
    into: dict[str, Edge] = {edge.consumer: edge for edge in edges}
    walked: list[Edge] = []
    at = edges[0].consumer
    while at not in [edge.consumer for edge in walked]:
        walked.append(into[at])
        at = into[at].producer
    start = [edge.consumer for edge in walked].index(at)
    return walked[start:][::-1]
