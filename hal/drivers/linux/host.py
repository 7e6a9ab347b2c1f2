"""The machine that the daemon runs on: load, memory, disk, network, pressure, temperatures.

Sources: proc(5); Documentation/accounting/psi.rst, Documentation/hwmon/sysfs-interface.rst and
Documentation/driver-api/thermal/sysfs-api.rst of the Linux kernel. What a kernel does not offer is absent, never zero.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from hal.device import Device, DeviceError
from hal.signal import OWNER_NAME, Sensor, Tick

MAX_TEMPERATURES = 32
"""Sources that are read at most: a server has one a core."""

PLAUSIBLE_DEGC = (-100.0, 300.0)
"""Broken zones report -274 degC or a full register."""

_CPU = re.compile(r"coretemp|k10temp|zenpower|x86_pkg_temp|cpu|(big|little)core|soc[-_]?(thermal|$)", re.IGNORECASE)
_PRESSURE = re.compile(rb"some avg10=([0-9.]+)")
_MEMORY = re.compile(rb"^(MemTotal|MemAvailable):\s+(\d+) kB", re.MULTILINE)


class Host(Device):
    """The real machine. Rates are means since the last read; the first read has none."""

    load_1m: float | None = Sensor(low=0.0, resolution=0.01, doc="runnable and blocked tasks, mean of a minute")
    load_5m: float | None = Sensor(low=0.0, resolution=0.01)
    load_15m: float | None = Sensor(low=0.0, resolution=0.01)
    cpu_use: float | None = Sensor(unit="percent", low=0.0, high=100.0, doc="of all CPUs together")
    memory_total: int | None = Sensor(unit="B", low=0)
    memory_available: int | None = Sensor(unit="B", low=0, doc="what programs can still get without swapping")
    disk_used: int | None = Sensor(unit="B", low=0)
    disk_free: int | None = Sensor(unit="B", low=0, doc="for programs without privileges")
    network_received: float | None = Sensor(unit="B/s", low=0.0, doc="all interfaces but the loopback")
    network_sent: float | None = Sensor(unit="B/s", low=0.0)
    pressure_cpu: float | None = Sensor(
        unit="percent", low=0.0, high=100.0, resolution=0.01, doc="time in which some task waited for a CPU, over 10 s"
    )
    pressure_io: float | None = Sensor(unit="percent", low=0.0, high=100.0, resolution=0.01)
    pressure_memory: float | None = Sensor(unit="percent", low=0.0, high=100.0, resolution=0.01)
    cpu_temperature: float | None = Sensor(unit="degC", resolution=0.001, doc="the hottest of the CPU's sensors")
    uptime: float | None = Sensor(unit="s", low=0.0, resolution=0.01)

    def __init__(self, disk: str = "/", root: str = "/") -> None:
        """`disk` is any path on the file system to watch, a local one; `root` is where proc and sys are found."""
        self._root = Path(root)
        self._disk = self._root / disk.lstrip("/")
        self._cpu_zones: list[Path] = []
        self._zones: dict[str, Path] = {}
        self._cpu_before: tuple[int, int] | None = None
        self._network_before: tuple[int, int, int] | None = None

    def open(self) -> None:
        """Find the temperature sensors; each that is not the CPU's gets a signal. DeviceError without proc."""
        if not (self._root / "proc/stat").exists():
            raise DeviceError(
                f"{self._root / 'proc/stat'}: not found, expected a proc file system; mount it, or check 'root'"
            )
        self._cpu_before = self._network_before = None
        if not self._cpu_zones and not self._zones:
            self._find_temperatures()

    def read(self, tick: Tick) -> None:
        """About twenty small reads from memory; nothing of it waits for hardware but sensors behind a slow bus."""
        self._read_cpu()
        self._read_memory()
        self._read_disk()
        self._read_network(tick.time_ns)
        for name in ("cpu", "io", "memory"):
            setattr(self, f"pressure_{name}", _pressure(self._text("proc/pressure", name)))
        for name, path in self._zones.items():
            setattr(self, name, _degc(path))
        self.cpu_temperature = max((t for t in map(_degc, self._cpu_zones) if t is not None), default=None)

    def _read_cpu(self) -> None:
        loads = _numbers(self._text("proc/loadavg"), 3)
        self.load_1m, self.load_5m, self.load_15m = loads or (None, None, None)
        uptime = _numbers(self._text("proc/uptime"), 1)
        self.uptime = uptime[0] if uptime else None
        times = _numbers(self._text("proc/stat").partition(b"\n")[0].removeprefix(b"cpu"), 8)
        if times is None:
            self.cpu_use = self._cpu_before = None
            return
        total, idle = int(sum(times)), int(times[3] + times[4])  # user nice system idle iowait irq softirq steal
        if self._cpu_before is None:
            self.cpu_use, self._cpu_before = None, (total, idle)
        elif total > self._cpu_before[0]:  # else no jiffy has passed: the last value still is the newest
            share = (idle - self._cpu_before[1]) / (total - self._cpu_before[0])
            self.cpu_use = 100.0 * min(max(1.0 - share, 0.0), 1.0)  # iowait may run backwards
            self._cpu_before = total, idle

    def _read_memory(self) -> None:
        found = {key: int(value) * 1024 for key, value in _MEMORY.findall(self._text("proc/meminfo"))}
        self.memory_total, self.memory_available = found.get(b"MemTotal"), found.get(b"MemAvailable")

    def _read_disk(self) -> None:
        try:
            disk = os.statvfs(self._disk)
        except OSError:
            self.disk_used = self.disk_free = None
            return
        self.disk_used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        self.disk_free = disk.f_bavail * disk.f_frsize

    def _read_network(self, time_ns: int) -> None:
        received = sent = 0
        for line in self._text("proc/net/dev").splitlines()[2:]:
            name, _, counters = line.partition(b":")
            fields = _numbers(counters, 16)
            if fields is not None and name.strip() != b"lo":
                received, sent = received + int(fields[0]), sent + int(fields[8])
        before, self._network_before = self._network_before, (time_ns, received, sent)
        self.network_received = self.network_sent = None
        if before is not None and time_ns > before[0]:
            seconds = (time_ns - before[0]) / 1e9
            # An interface that went away takes its count along: no rate this time.
            self.network_received = (received - before[1]) / seconds if received >= before[1] else None
            self.network_sent = (sent - before[2]) / seconds if sent >= before[2] else None

    def _find_temperatures(self) -> None:
        for number, (label, path) in enumerate(_temperatures(self._root / "sys/class")):
            if number >= MAX_TEMPERATURES:
                break
            if _CPU.match(label):
                self._cpu_zones.append(path)
            else:
                name = self._free_name(label)
                self.add(name, Sensor(unit="degC", resolution=0.001, doc=f"sensor {label}"), float | None)
                self._zones[name] = path

    def _free_name(self, label: str) -> str:
        """`temperature_nvme_composite`, and with `_2` what has the same name."""
        name = "temperature_" + re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
        names = (f"{name[:29].rstrip('_')}_{n}" if n > 1 else name[:32].rstrip("_") for n in range(1, 99))
        return next(name for name in names if name not in self.signals and OWNER_NAME.fullmatch(name))

    def _text(self, *parts: str) -> bytes:
        return _content(self._root.joinpath(*parts))


def _temperatures(classes: Path) -> Iterator[tuple[str, Path]]:
    """Label and file of every sensor: thermal zones first, then chips that are not a zone's second face."""
    for zone in sorted(classes.glob("thermal/thermal_zone*"), key=_natural):
        yield _content(zone / "type").decode(errors="replace").strip() or zone.name, zone / "temp"
    for chip in sorted(classes.glob("hwmon/hwmon*"), key=_natural):
        if "thermal_zone" in os.path.realpath(chip / "device"):
            continue
        owner = _content(chip / "name").decode(errors="replace").strip() or chip.name
        for path in sorted(chip.glob("temp*_input"), key=_natural):
            label = _content(path.with_name(path.name.replace("_input", "_label"))).decode(errors="replace").strip()
            yield f"{owner} {label}".strip(), path


def _natural(path: Path) -> list[int]:
    """Sort key: hwmon2 before hwmon10."""
    return [int(digits) for digits in re.findall(r"\d+", path.name)]


def _content(path: Path) -> bytes:
    """The start of a small file; empty when there is none or the kernel refuses (EIO, ENODATA, EOPNOTSUPP)."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, 65536)
    except OSError:
        return b""
    finally:
        os.close(file)


def _numbers(text: bytes, count: int) -> list[float] | None:
    """The first `count` words as numbers; None when there are fewer, or one is no number."""
    try:
        values = [float(word) for word in text.split()[:count]]
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def _pressure(text: bytes) -> float | None:
    """Percent of time over the last 10 s in which some task waited."""
    found = _PRESSURE.match(text)
    value = _numbers(found[1], 1) if found else None
    return value[0] if value else None


def _degc(path: Path) -> float | None:
    """A sensor's millidegrees as degC."""
    value = _numbers(_content(path), 1)
    if value is None or not PLAUSIBLE_DEGC[0] <= value[0] / 1000 <= PLAUSIBLE_DEGC[1]:
        return None
    return value[0] / 1000
