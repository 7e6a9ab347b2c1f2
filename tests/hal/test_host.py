"""What `driver: linux.host` promises, on captured trees and on the real machine."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hal.device import DeviceError
from hal.drivers.linux.host import Host
from hal.signal import Tick

RASPBERRY_PI = {
    "proc/loadavg": "0.52 0.58 0.59 2/189 4321\n",
    "proc/uptime": "12345.67 48000.10\n",
    "proc/stat": "cpu  1000 0 500 8000 100 0 10 0 0 0\ncpu0 250 0 125 2000 25 0 2 0 0 0\nintr 1 2 3\n",
    "proc/meminfo": "MemTotal:        3882440 kB\nMemFree:          120000 kB\nMemAvailable:    2941220 kB\n",
    "proc/net/dev": (
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier\n"
        "    lo: 9000 9 0 0 0 0 0 0 9000 9 0 0 0 0 0 0\n"
        "  eth0:1000 5 0 0 0 0 0 0 200 3 0 0 0 0 0 0\n"
        " wlan0: 500 5 0 0 0 0 0 0 100 3 0 0 0 0 0 0\n"
    ),
    "proc/pressure/cpu": "some avg10=1.50 avg60=0.80 avg300=0.20 total=123\nfull avg10=0.00 avg60=0.00\n",
    "proc/pressure/io": "some avg10=0.25 avg60=0.00 avg300=0.00 total=5\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
    "sys/class/hwmon/hwmon1/name": "nvme\n",
    "sys/class/hwmon/hwmon1/temp1_input": "35850\n",
    "sys/class/hwmon/hwmon1/temp1_label": "Composite\n",
    "sys/class/hwmon/hwmon2/name": "nvme\n",
    "sys/class/hwmon/hwmon2/temp1_input": "41000\n",
    "sys/class/hwmon/hwmon2/temp1_label": "Composite\n",
    "sys/class/hwmon/hwmon10/name": "rp1_adc\n",
    "sys/class/hwmon/hwmon10/temp1_input": "52000\n",
}


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def opened(root: Path) -> Host:
    host = Host(root=str(root))
    host.open()
    host.read(Tick(0, 0, 1.0))
    return host


def rates(host: Host) -> tuple[float | None, float | None, float | None]:
    return host.cpu_use, host.network_received, host.network_sent


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    return plant(tmp_path, RASPBERRY_PI)


def test_a_captured_board_reads_as_its_files_say(pi: Path) -> None:
    host = opened(pi)
    assert (host.load_1m, host.load_5m, host.load_15m, host.uptime) == (0.52, 0.58, 0.59, 12345.67)
    assert (host.memory_total, host.memory_available) == (3882440 * 1024, 2941220 * 1024)
    assert (host.pressure_cpu, host.pressure_io) == (1.5, 0.25)
    assert host.cpu_temperature == 48.312


def test_what_the_kernel_does_not_offer_is_absent(pi: Path) -> None:
    for gone in ("proc/pressure/cpu", "proc/loadavg", "sys/class/thermal/thermal_zone0/temp"):
        (pi / gone).unlink()
    host = opened(pi)
    assert host.pressure_memory is host.pressure_cpu is host.load_1m is host.cpu_temperature is None


def test_rates_are_absent_at_first_and_then_means_between_two_reads(pi: Path) -> None:
    host = opened(pi)
    assert rates(host) == (None, None, None)
    (pi / "proc/stat").write_text("cpu  1030 0 500 8060 110 0 10 0 0 0\n")
    dev = (
        RASPBERRY_PI["proc/net/dev"]
        .replace("9000 9", "99999 9")
        .replace("eth0:1000", "eth0:5000")
        .replace("0 100 3", "0 160 3")
    )
    (pi / "proc/net/dev").write_text(dev)
    host.read(Tick(1, 2_000_000_000, 2.0))
    assert rates(host) == pytest.approx((30.0, 2000.0, 30.0))


def test_an_interface_that_goes_away_gives_no_negative_rate(pi: Path) -> None:
    host = opened(pi)
    (pi / "proc/net/dev").write_text("\n".join(RASPBERRY_PI["proc/net/dev"].splitlines()[:3]))
    host.read(Tick(1, 1_000_000_000, 1.0))
    assert rates(host)[1] is None
    host.read(Tick(2, 2_000_000_000, 1.0))
    assert rates(host)[1] == 0.0


def test_every_other_temperature_sensor_gets_a_signal_when_opened(pi: Path) -> None:
    assert not any(name.startswith("temperature_") for name in Host(root=str(pi)).signals)
    host = opened(pi)
    found = {name: getattr(host, name) for name in host.signals if name.startswith("temperature_")}
    assert found == {
        "temperature_nvme_composite": 35.85,
        "temperature_nvme_composite_2": 41.0,
        "temperature_rp1_adc": 52.0,
    }


def test_opening_again_keeps_the_signals(pi: Path) -> None:
    host = opened(pi)
    before = list(host.signals)
    host.close()
    host.open()
    assert list(host.signals) == before


def test_a_zone_that_shows_up_as_a_chip_too_counts_once(pi: Path) -> None:
    plant(pi, {"sys/class/hwmon/hwmon0/name": "acpitz\n", "sys/class/hwmon/hwmon0/temp1_input": "20000\n"})
    (pi / "sys/class/hwmon/hwmon0/device").symlink_to(pi / "sys/class/thermal/thermal_zone0")
    assert "temperature_acpitz" not in opened(pi).signals


@pytest.mark.parametrize("broken", ["-274000", "2147483647", "", "n/a", "nan"])
def test_a_broken_sensor_is_absent(pi: Path, broken: str) -> None:
    (pi / "sys/class/hwmon/hwmon10/temp1_input").write_text(broken)
    assert opened(pi).temperature_rp1_adc is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", ["nan", "inf", "x", ""])
def test_a_count_that_is_no_number_makes_its_signal_absent(pi: Path, number: str) -> None:
    (pi / "proc/stat").write_text(f"cpu  {number} 0 0 0 0 0 0\n")
    host = opened(pi)
    host.read(Tick(1, 1_000_000_000, 1.0))
    assert host.cpu_use is None


def test_without_proc_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="expected a proc file system"):
        Host(root=str(tmp_path)).open()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(RASPBERRY_PI)), junk=st.binary(max_size=80), cut=st.integers(0, 200))
def test_damaged_files_never_raise_and_never_give_nan(pi: Path, name: str, junk: bytes, cut: int) -> None:
    host = opened(pi)
    whole = RASPBERRY_PI[name].encode()
    (pi / name).write_bytes(whole[:cut] + junk)
    for number in (1, 2):
        host.read(Tick(number, number * 1_000_000_000, 1.0))
    opened(pi)
    (pi / name).write_bytes(whole)
    assert all(value is None or math.isfinite(value) for value in (getattr(host, name) for name in host.signals))


def test_the_real_machine_agrees_with_the_kernel() -> None:
    host = Host()
    host.open()
    host.read(Tick(0, time.monotonic_ns(), 1.0))
    assert host.memory_total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert host.uptime == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=2.0)
    assert host.disk_free is not None and host.disk_used is not None
    assert 0 < host.disk_free <= os.statvfs("/").f_frsize * os.statvfs("/").f_blocks


def test_a_read_of_the_real_machine_takes_at_most_a_millisecond() -> None:
    host = Host()
    host.open()
    taken = []
    for number in range(50):
        before = time.thread_time_ns()
        host.read(Tick(number, number * 1_000_000, 0.001))
        taken.append(time.thread_time_ns() - before)
    assert sorted(taken)[25] <= 1_000_000
