"""What a tick cost, and why one was missed, as far as it can be known."""

from __future__ import annotations

import resource
from collections.abc import Sequence

U32_MAX = 0xFFFFFFFF
_SMOOTH = 1 / 64
MS = 1e6


class Account:
    """Durations of the tick that runs now, and what is usual for each part."""

    def __init__(self, parts: Sequence[str]) -> None:
        self.parts = tuple(parts)
        self.parts_ns = [0] * len(parts)
        self._usual_ns = [0.0] * len(parts)
        self.collected_ns = 0
        """Garbage collection that ran into this tick: what of it was left when the tick was due."""
        self.overran_ns = 0
        """Everything else between two ticks that did."""
        self._usage = resource.getrusage(resource.RUSAGE_THREAD)
        self.missed_total = 0

    def close_tick(self) -> None:
        """Remember what is usual; call once at the end of every tick that was in time."""
        usual = self._usual_ns
        for i, ns in enumerate(self.parts_ns):
            usual[i] += (ns - usual[i]) * _SMOOTH
        self._usage = resource.getrusage(resource.RUSAGE_THREAD)

    def cause(self, wake_ns: int, total_ns: int, late_ns: int) -> tuple[str, dict[str, float | str]]:
        """Why this tick ended late: one sentence, and the figures behind it."""
        self.missed_total += 1
        usage = resource.getrusage(resource.RUSAGE_THREAD)
        before, self._usage = self._usage, usage
        switches = usage.ru_nivcsw - before.ru_nivcsw
        faults = usage.ru_minflt - before.ru_minflt + usage.ru_majflt - before.ru_majflt
        excess = [ns - usual for ns, usual in zip(self.parts_ns, self._usual_ns, strict=True)]
        worst = max(range(len(excess)), key=excess.__getitem__, default=-1)
        other_ns = total_ns - sum(self.parts_ns)
        candidates = {
            "wake": wake_ns,
            "gc": self.collected_ns,
            "housekeeping": self.overran_ns,
            "bookkeeping": other_ns,
            "part": excess[worst] if worst >= 0 else 0,
        }
        if self.collected_ns or self.overran_ns:
            candidates["wake"] -= self.collected_ns + self.overran_ns  # it was woken late because of them
        culprit = max(candidates, key=candidates.__getitem__)
        if culprit == "part":
            culprit = self.parts[worst]
            text = f"{culprit} took {self.parts_ns[worst] / MS:.2f} ms, usually {self._usual_ns[worst] / MS:.2f} ms"
        elif culprit == "wake":
            text = f"it was woken {wake_ns / MS:.2f} ms late"
        elif culprit == "gc":
            text = f"garbage collection ran into it for {self.collected_ns / MS:.2f} ms"
        elif culprit == "housekeeping":
            text = f"mail, notes or the saving of state ran into it for {self.overran_ns / MS:.2f} ms"
        else:
            text = f"bookkeeping took {other_ns / MS:.2f} ms"
        if switches:
            text += f"; the kernel ran something else {switches} times"
        if faults:
            text += f"; {faults} page faults"
        data: dict[str, float | str] = {
            "cause": culprit,
            "late_ms": round(late_ns / MS, 3),
            "wake_ms": round(wake_ns / MS, 3),
            "total_ms": round(total_ns / MS, 3),
            "involuntary_switches": switches,
            "page_faults": faults,
        }
        return text, data


def u32(ns: int) -> int:
    """A duration as the row stores it: nanoseconds, saturating at 4.29 s."""
    return ns if 0 <= ns <= U32_MAX else U32_MAX if ns > 0 else 0
