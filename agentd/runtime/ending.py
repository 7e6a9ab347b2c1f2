"""How a worker ended, from what it left in its ring."""

from __future__ import annotations

from agentd.runtime.loop import read_crumb
from agentd.runtime.ring import RingReader, Word, WorkerState


def how_it_ended(ring: RingReader) -> str:
    """`ended inside vision (step)`, `stopped`, ...; of a worker that lives, where it is right now."""
    words = ring.words
    crumb = read_crumb(words[Word.BREADCRUMB])
    try:
        state = WorkerState(words[Word.STATE]).name.lower()
    except ValueError:
        return "damaged"
    if crumb is not None and crumb[0] < len(ring.layout.parts):
        return f"ended inside {ring.layout.parts[crumb[0]]} ({crumb[1].name.lower()})"
    if state == "stopping":
        return "stopped"
    return f"ended {'inside a tick' if words[Word.TICK_BEGAN_NS] else 'between two ticks'} while {state}"
