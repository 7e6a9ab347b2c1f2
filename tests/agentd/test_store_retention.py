"""The budget: what is on the disk stays below it at every moment, and the oldest goes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.config.plan import RecordPlan
from agentd.store.database import bytes_on_disk
from agentd.store.retention import BATCH, DAY_NS, Budget
from hal.clock import NS_PER_S
from tests.agentd.store_parts import Oven, Site, event


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, plan=RecordPlan(keep_mb=1.2))


def count(site: Site, table: str) -> int:
    return int(str(site.query(f"SELECT count(*) FROM {table}")[0][0]))


def test_the_files_stay_within_their_bytes(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    largest = 0
    for number in range(100):
        oven.publish(2000)
        site.events.append(event(number + 1))
        writer.poll(force=True)
        largest = max(largest, bytes_on_disk(site.path))
    recorded = site.indices()
    assert 900_000 < largest <= 1_200_000
    assert recorded == list(range(recorded[0], 200_000)), "the oldest goes first"
    assert recorded[0] > 80_000


def test_what_is_older_than_its_days_goes(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    for _day in range(40):
        oven.publish(100)
        writer.poll(force=True)
        site.time.now_ns += DAY_NS
    oven.publish(1)
    writer.poll(force=True)
    assert count(site, "chunk") == 30


def test_a_deletion_is_never_more_than_a_batch(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    for _ in range(3 * BATCH):
        oven.publish(1)
        writer.poll(force=True)
    site.time.now_ns += 31 * DAY_NS
    left = []
    for _ in range(4):
        oven.publish(1)
        writer.poll(force=True)
        left.append(count(site, "chunk"))
    assert left == [2 * BATCH + 1, BATCH + 2, 3, 4]


def test_other_boots_are_judged_by_a_clock_that_is_trusted(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    oven.publish(100)
    writer.poll(force=True)
    writer.close()
    oven.path.unlink()
    site.time.boot, site.time.now_ns = "boot-2", 10 * NS_PER_S
    site.time.offset_ns += 80 * 365 * DAY_NS  # no battery, or a joke: the clock is years ahead
    after = Oven(site.runtime, site.time, generation=1)
    writer = site.open()
    for _ in range(3):
        after.publish(1)
        writer.poll(force=True)
    assert len(site.indices(1)) == 100, "a clock that was just set decides nothing"
    site.time.now_ns += 2 * 3600 * NS_PER_S
    after.publish(1)
    writer.poll(force=True)
    assert (site.indices(1), len(site.indices(2))) == ([], 4)


def test_events_have_a_share_of_the_bytes(site: Site) -> None:
    writer = site.open()
    most = Budget.of(site.plan).events
    for first in range(0, 3 * most, 500):
        site.events.extend(event(first + i + 1) for i in range(500))
        while writer.poll(force=True):
            pass
        site.time.now_ns += 61 * NS_PER_S
    assert most <= count(site, "event") <= most + 500
    assert site.query("SELECT max(id) FROM event") == [(-(-3 * most // 500) * 500,)]


def test_a_lowered_budget_shrinks_the_file_step_by_step(tmp_path: Path) -> None:
    site = Site(tmp_path, plan=RecordPlan(keep_mb=20.0))
    oven, writer = Oven(site.runtime, site.time), site.open()
    for _ in range(50):
        oven.publish(5000)
        writer.poll(force=True)
    before = bytes_on_disk(site.path)
    writer.set_budget(Budget.of(RecordPlan(keep_mb=1.5)))
    for _ in range(20):
        oven.publish(10)
        writer.poll(force=True)
    assert before > 2_000_000
    assert bytes_on_disk(site.path) <= 1_500_000
    assert site.indices()[-1] == oven.number - 1


def test_rings_of_other_boots_are_forgotten_with_their_last_chunk(site: Site) -> None:
    for boot in ("boot-1", "boot-2", "boot-3"):
        site.time.boot, site.time.now_ns = boot, 1000 * NS_PER_S
        site.time.offset_ns += DAY_NS * 20
        oven, writer = Oven(site.runtime, site.time), site.open()
        oven.publish(10)
        writer.poll(force=True)
        site.time.now_ns += 7200 * NS_PER_S
        oven.publish(10)
        writer.poll(force=True)
        writer.close()
        oven.path.unlink()
    site.open().poll(force=True)
    assert site.query("SELECT boot_id FROM boot ORDER BY id") == [("boot-2",), ("boot-3",)]
    assert (count(site, "ring"), count(site, "layout")) == (2, 1)
