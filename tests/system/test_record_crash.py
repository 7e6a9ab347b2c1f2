"""A recorder that is killed at any moment: after the next start every row is there, and none twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hal.clock import NS_PER_S, SystemClock
from tests.agentd.store_parts import Oven, Site

ROUNDS = 12
RECORDING = """
import sys, threading
from collections import deque
from pathlib import Path
from agentd.config.plan import RecordPlan
from agentd.store.retention import Budget
from agentd.store.writer import Clocks, RecordWriter
from tests.agentd.store_parts import Time, event

folder, time = Path(sys.argv[1]), Time()
events = deque()
writer = RecordWriter(
    folder / "state" / "record.sqlite", Budget.of(RecordPlan()), folder / "runtime",
    events=events, tell=print, clocks=time.clocks(),
)
print("recording", flush=True)
number = writer.last_event_id
while True:
    number += 1
    events.append(event(number))
    writer.poll(force=True)
"""

pytestmark = pytest.mark.system


def test_rows_and_events_survive_sigkill_at_any_moment(tmp_path: Path) -> None:
    site, dice, clock = Site(tmp_path), random.Random(11), SystemClock()
    site.open().close()
    oven = Oven(site.runtime, site.time, capacity=50_000)
    for _ in range(ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-c", RECORDING, str(tmp_path)], stdout=subprocess.PIPE, cwd=os.getcwd()
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"recording\n"
            until = clock.now_ns() + dice.randrange(5, 60) * NS_PER_S // 1000
            while clock.now_ns() < until:
                oven.publish(dice.randrange(1, 60))
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()  # type: ignore[union-attr]
        found = site.indices()
        assert found == list(range(len(found))), "no gap, nothing twice"
    writer = site.open()
    while writer.poll(force=True):
        pass
    assert site.indices() == list(range(oven.number))
    ((events, last),) = site.query("SELECT count(*), max(id) FROM event")
    assert events == last, "events are whole and in order"
    assert site.query("PRAGMA integrity_check") == [("ok",)]
