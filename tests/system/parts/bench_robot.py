"""A device whose faults are ordered through files beside it, and that logs what it is told to do."""

from __future__ import annotations

import os
import time
from pathlib import Path

from hal.device import Device, DeviceError
from hal.signal import Actuator, Sensor, Tick


class BenchRobot(Device):
    """Writes its actuator to `<folder>/<name>.log`; does what `<folder>/<name>.fault` says."""

    simulated = True

    level: float = Sensor(unit="m", doc="counts ticks, so that it changes")
    motor: float = Actuator(low=-1.0, high=1.0, safe=0.0, doc="what is logged")

    def __init__(self, folder: str, name: str) -> None:
        self._log, self._order = Path(folder) / f"{name}.log", Path(folder) / f"{name}.fault"
        self._ticks = 0.0

    def _fault(self, where: str) -> str:
        try:
            order = self._order.read_text(encoding="ascii").split()
        except FileNotFoundError:
            return ""
        return order[1] if order and order[0] == where else ""

    def open(self) -> None:
        """Fails or hangs on order."""
        if self._fault("open") == "raise":
            raise DeviceError("no answer at address 0x29, expected a robot; check its cable")
        if self._fault("open") == "die":
            os._exit(9)

    def read(self, tick: Tick) -> None:
        """Fails, hangs or gives nonsense on order."""
        fault = self._fault("read")
        if fault == "raise":
            raise DeviceError("bus error, expected 2 bytes; check the cable")
        if fault == "hang":
            time.sleep(3600)
        if fault == "exit":
            os._exit(9)
        self._ticks += 1
        self.level = float("nan") if fault == "nan" else self._ticks

    def write(self, tick: Tick) -> None:
        """One line a write."""
        with self._log.open("a", encoding="ascii") as file:
            file.write(f"{time.clock_gettime_ns(time.CLOCK_BOOTTIME)} {self.motor}\n")
