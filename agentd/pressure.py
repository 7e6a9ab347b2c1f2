"""Pressure stall information, put beside a missed tick: was the machine itself short of something?

Source: Documentation/accounting/psi.rst of the Linux kernel.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from agentd.event import Event

WORTH_TELLING = 1.0
"""Percent of the last ten seconds in which something waited."""


def read_pressure() -> dict[str, float]:
    """`some avg10` of cpu, io and memory in percent; what the kernel does not offer is left out."""
    found = {}
    for resource in ("cpu", "io", "memory"):
        with suppress(OSError, ValueError, IndexError), open(f"/proc/pressure/{resource}", encoding="ascii") as file:
            found[resource] = float(file.readline().split()[1].removeprefix("avg10="))
    return found


def with_pressure(event: Event) -> Event:
    """The event with the pressure of this moment in its data, and in its message where it is high."""
    pressure = read_pressure()
    high = [f"{name} {percent:g} %" for name, percent in pressure.items() if percent >= WORTH_TELLING]
    message = event.message + (f"; pressure: {', '.join(high)}" if high else "")
    return msgspec.structs.replace(event, message=message, data=event.data | {"pressure": pressure})
