"""One device in a loop: read into the row, written from the guard, degraded alone when it fails.

Opening may take long: after the start it runs in the worker's opener thread, which has no real-time
priority, and joins at a tick boundary.
"""

from __future__ import annotations

import enum
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import TYPE_CHECKING

from agentd.runtime.array_ring import ArrayRingWriter
from agentd.runtime.guard import Channel
from agentd.runtime.row import LoopRow
from hal.clock import NS_PER_S
from hal.device import Device, NotReady, typed
from hal.signal import Absent, ActuatorDeclaration, Tick

BACKOFF_FIRST_NS = NS_PER_S // 4
BACKOFF_LAST_NS = 30 * NS_PER_S
STEADY_NS = 10 * NS_PER_S
"""What has worked for so long is retried quickly again. Less, and what opens only to fail would be opened for ever."""
if TYPE_CHECKING:
    from typing_extensions import Buffer

Report = Callable[[str, str, str, str], None]
"""kind, subject, severity, message"""


class DeviceState(enum.Enum):
    """Where a device is in its life."""

    CLOSED = "closed"
    OPENING = "opening"
    OPEN = "open"
    QUARANTINED = "quarantined"


class DevicePort:
    """A device with its columns of the row. `safe` are the guard's safe values by signal, else the driver's count."""

    def __init__(
        self, name: str, device: Device | None, report: Report, why: str = "", safe: Mapping[str, float] | None = None
    ) -> None:
        self.name, self.device, self._safe = name, device, safe or {}
        self.state = DeviceState.CLOSED if device is not None else DeviceState.QUARANTINED
        self.why = why
        self.channels: list[tuple[str, Channel, int]] = []
        """Attribute, channel and column of each actuator."""
        self.columns: list[int] = []
        """Columns of its sensors."""
        self._report = report
        self._scalars: list[tuple[str, int]] = []
        self._arrays: list[tuple[str, int, ArrayRingWriter]] = []
        self._opening: Future[None] | None = None
        self._backoff_ns, self._retry_ns, self._opened_ns = BACKOFF_FIRST_NS, 0, 0

    def connect(self, row: LoopRow, channels: dict[str, Channel], arrays: dict[str, ArrayRingWriter]) -> None:
        """Find the columns of this device's signals, once the layout is known."""
        mine = f"{self.name}."
        self.columns = [
            i for i, c in enumerate(row.columns) if c.name.startswith(mine) and c.role not in ("actuator", "foreign")
        ]
        for signal, channel in channels.items():
            owner, _, attribute = signal.partition(".")
            if owner == self.name:
                self.channels.append((attribute, channel, row.index_of[signal]))
        for attribute, declaration in self.device.signals.items() if self.device is not None else ():
            signal = f"{self.name}.{attribute}"
            if signal not in row.index_of or isinstance(declaration, ActuatorDeclaration):
                continue
            column = row.index_of[signal]
            if declaration.type.kind == "array":
                self._arrays.append((attribute, column, arrays[signal]))
            else:
                self._scalars.append((attribute, column))

    @property
    def opening(self) -> Future[None] | None:
        """The attempt to open that runs now."""
        return self._opening

    def prepare(self) -> None:
        """Let the device load what is slow to load, before the first tick."""
        if self.device is not None:
            try:
                self.device.prepare()
            except Exception as error:
                self._report("device", self.name, "error", f"{self.name}: prepare: {describe(error)}")

    def open_now(self, now_ns: int) -> None:
        """Open in this thread, for tests; safe values are written at once."""
        try:
            self._open(now_ns)
        except Exception as error:
            self._failed("open", error, Tick(time_ns=now_ns))
        else:
            self._opened(now_ns)

    def poll(self, now_ns: int, opener: Executor) -> None:
        """At a tick boundary: notice that opening has ended, or begin it when its time has come."""
        if self.state is DeviceState.OPENING and self._opening is not None and self._opening.done():
            error = self._opening.exception()
            self._opening = None
            if error is None:
                self._opened(now_ns)
            else:
                self._failed("open", error, Tick(time_ns=now_ns))
        elif self.state is DeviceState.CLOSED and now_ns >= self._retry_ns and self.device is not None:
            self.state = DeviceState.OPENING
            self._opening = opener.submit(self._open, now_ns)

    def read(self, tick: Tick, row: LoopRow, stamp_ns: int) -> None:
        """Read every sensor of an open device; what fails is absent with its reason."""
        if self.state is not DeviceState.OPEN or self.device is None:
            return
        try:
            self.device.read(tick)
            values = self.device.__dict__
            for attribute, column in self._scalars:
                row.store(column, values.get(attribute), stamp_ns)
            for attribute, column, ring in self._arrays:
                self._store_array(values.get(attribute), column, ring, row, stamp_ns)
        except NotReady:
            self._clear(row, Absent.NOT_GIVEN)
        except Exception as error:
            self._clear(row, Absent.DEVICE_ERROR)
            self._failed("read", error, tick)

    def write(self, tick: Tick) -> bool:
        """Write what the guard decided. False when the device is not open or has failed."""
        if self.state is not DeviceState.OPEN or self.device is None:
            return False
        device = self.device
        try:
            for attribute, channel, _ in self.channels:
                setattr(device, attribute, channel.applied)
            device.write(tick)
        except Exception as error:
            self._failed("write", error, tick)
            return False
        return True

    def close(self) -> None:
        """Give the hardware back, at the end of the worker."""
        if self.state is DeviceState.OPEN and self.device is not None:
            self.state = DeviceState.CLOSED
            try:
                self.device.close()
            except Exception as error:
                self._report("device", self.name, "warning", f"{self.name}: close: {describe(error)}")

    def absent(self, row: LoopRow, reason: int) -> None:
        """Say in the row why this device's sensors have no values."""
        self._clear(row, reason)

    @staticmethod
    def _store_array(value: Buffer | None, column: int, ring: ArrayRingWriter, row: LoopRow, stamp_ns: int) -> None:
        if value is None:
            row.clear(column, Absent.NOT_GIVEN)
            return
        if value is not row.objects[column]:
            row.values[column] = ring.publish(stamp_ns, memoryview(value))
            row.objects[column] = value
        row.stamps_ns[column] = stamp_ns
        row.reasons[column] = 0

    def _clear(self, row: LoopRow, reason: int) -> None:
        for column in self.columns:
            row.clear(column, reason)

    def _open(self, now_ns: int) -> None:
        """Open the device and make it safe, in any thread: no actuator waits for a tick or for another device."""
        device = self.device
        assert device is not None
        device.open()
        actuators = [d for d in device.signals.values() if isinstance(d, ActuatorDeclaration)]
        try:
            for declaration in actuators:
                value = self._safe.get(f"{self.name}.{declaration.name}", declaration.safe)
                setattr(device, declaration.name, typed(declaration, value))
            if actuators:
                device.write(Tick(0, now_ns))
        except BaseException:
            with suppress(Exception):
                device.close()
            raise

    def _opened(self, now_ns: int) -> None:
        again = self.why
        self.state, self.why, self._opened_ns = DeviceState.OPEN, "", now_ns
        for _, channel, _ in self.channels:
            channel.reset()
        if again:
            self._report("device", self.name, "info", f"{self.name}: open again")

    def _failed(self, doing: str, error: BaseException, tick: Tick) -> None:
        was_open = self.state is DeviceState.OPEN
        self.state = DeviceState.CLOSED
        if was_open and tick.time_ns - self._opened_ns >= STEADY_NS:
            self._backoff_ns = BACKOFF_FIRST_NS
        wait_ns = self._backoff_ns
        self._retry_ns = tick.time_ns + wait_ns
        self._backoff_ns = min(2 * wait_ns, BACKOFF_LAST_NS)
        self.why = f"{doing}: {describe(error)}; trying again in {wait_ns / NS_PER_S:g} s"
        if was_open and self.channels and not self._left_safe(tick):
            self.why += "; its outputs could not be made safe"
        self._report("device", self.name, "error", f"{self.name}: {self.why}")
        if was_open and self.device is not None:
            try:
                self.device.close()
            except Exception as second:
                self._report("device", self.name, "warning", f"{self.name}: close: {describe(second)}")

    def write_safe(self, tick: Tick) -> None:
        """At once, whatever ramp is declared: for the end of a worker."""
        if self.channels and self.state is DeviceState.OPEN:
            self._left_safe(tick)

    def _left_safe(self, tick: Tick) -> bool:
        """A device that failed may still take a write: without it the hardware keeps its last command."""
        try:
            for attribute, channel, _ in self.channels:
                channel.reset()
                setattr(self.device, attribute, channel.applied)
            assert self.device is not None
            self.device.write(tick)
        except Exception:
            return False
        return True


def describe(error: BaseException) -> str:
    """An error as one line for a person: its text, and where it was raised unless it says so itself."""
    text = str(error) or type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    place = (
        f" ({type(error).__name__} in {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    )
    return text.splitlines()[0][:500] + place
