"""A device without hardware for measurements: some sensors, one actuator, nothing but attribute writes."""

from __future__ import annotations

from hal.device import Device
from hal.signal import Actuator, Sensor, SensorDeclaration, Tick


class Plant(Device):
    """First-order lag behind one actuator; `extra` more sensors make a loop of any size."""

    simulated = True

    level: float = Sensor(unit="m", resolution=0.001)
    valve: float = Actuator(low=-10.0, high=10.0, safe=0.0)

    def __init__(self, extra: int = 0) -> None:
        self._extra = tuple(f"s{i}" for i in range(extra))
        for name in self._extra:
            self.add(name, SensorDeclaration(unit="m"))
        self._level = 0.0

    def read(self, tick: Tick) -> None:
        """Set every sensor."""
        self.level = self._level
        values = self.__dict__
        for name in self._extra:
            values[name] = self._level

    def write(self, tick: Tick) -> None:
        """Follow the valve."""
        self._level += (self.valve - self._level) * min(1.0, tick.dt_s)
