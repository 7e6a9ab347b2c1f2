"""The order in which a loop steps its agents: producers first, ties in file order; a cycle is an error."""

from __future__ import annotations

from agentd.config.draft import AgentDraft
from agentd.config.inputs import Edge
from agentd.config.tree import Problems


def step_order(agents: list[AgentDraft], edges: list[Edge], problems: Problems) -> list[AgentDraft]:
    """The agents, producers first. A cycle is reported once, by the wire that closes it, and file order kept."""
    waiting = {agent.name: {e.producer for e in edges if e.consumer == agent.name} for agent in agents}
    ordered: list[AgentDraft] = []
    while len(ordered) < len(agents):
        ready = next((a for a in agents if a.name in waiting and not waiting[a.name]), None)
        if ready is None:
            _report_cycle(edges, set(waiting), problems)
            return agents
        ordered.append(ready)
        del waiting[ready.name]
        for needs in waiting.values():
            needs.discard(ready.name)
    return ordered


def _report_cycle(edges: list[Edge], among: set[str], problems: Problems) -> None:
    cycle = _cycle([edge for edge in edges if edge.producer in among and edge.consumer in among])
    path = " -> ".join([cycle[0].producer, *(edge.consumer for edge in cycle)])
    last = max(cycle, key=lambda edge: (edge.place.line, edge.place.column))
    problems.add(
        last.place,
        f"{last.consumer}: cyclic wiring: {path}; "
        f"write one of these inputs as {{signal: {last.wire}, delayed: true}} to read the value of the tick before",
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
