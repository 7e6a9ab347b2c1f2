"""A day of a 100 Hz loop, plotted: what a query costs, from a cold connection to the last bucket."""

from __future__ import annotations

import random
import tempfile
import time
from array import array
from contextlib import closing
from pathlib import Path
from statistics import median

from agentd.config.plan import SignalPlan
from agentd.runtime.ring import Layout
from agentd.store.chunk_encoder import ChunkEncoder
from agentd.store.database import FILE_NAME, open_writer
from agentd.store.points import points
from agentd.store.query import open_record
from agentd.store.roller import Roller
from hal.clock import NS_PER_S

SIGNALS = 12
PERIOD_NS = NS_PER_S // 100
CHUNK_ROWS = 1000
CHUNKS = 8640
COUNTS = (600, 1000, 1440, 5000)
QUERIES = 7


def _rows(encoder: ChunkEncoder, first: int, noise: random.Random) -> bytes:
    """Ten seconds of a ring, column by column."""
    shape, count = encoder.shape, CHUNK_ROWS
    data = bytearray(shape.row_bytes * count)
    times = [(first + i) * PERIOD_NS + noise.randrange(50_000) for i in range(count)]
    numbers = array("q", range(first, first + count)).tobytes()
    fields = {0: numbers, 1: numbers, 2: array("q", times).tobytes()}
    for column in range(SIGNALS):
        level = noise.random()
        walk = [level + step * 0.001 * noise.random() for step in range(count)]
        fields[shape.values + column] = array("d", walk).tobytes()
        fields[shape.stamps + column] = fields[2]
    for field, words in fields.items():
        offset, width = shape.fields[field]
        for k in range(width):
            data[offset + k :: shape.row_bytes] = words[k::width]
    return bytes(data)


def make(path: Path, chunks: int = CHUNKS) -> None:
    """The record of so many times ten seconds."""
    columns = tuple(SignalPlan(name=f"rig.s{number}", type="float") for number in range(SIGNALS))
    layout = Layout(
        node="rig", loop="rig", generation=1, boot_id="b", period_ns=PERIOD_NS, columns=columns, parts=("rig",)
    )
    encoder, noise, db = ChunkEncoder(columns, 1, PERIOD_NS), random.Random(1), open_writer(path)
    blobs = [encoder.encode(_rows(encoder, number * CHUNK_ROWS, noise)) for number in range(2)]
    from msgspec.json import encode

    db.execute("INSERT INTO boot VALUES (1, 'b')")
    db.execute("INSERT INTO utc VALUES (1, 0, 1700000000000000000)")
    db.execute("INSERT INTO layout VALUES (1, x'00', ?)", (encode(layout).decode(),))
    db.execute(
        "INSERT INTO ring (id, boot, loop, generation, layout, position, last_crc) VALUES (1, 1, 'rig', 1, 1, 0, 0)"
    )
    roller = Roller(db)
    for number in range(chunks):
        first = number * CHUNK_ROWS
        blob = blobs[number] if number < 2 else encoder.encode(_rows(encoder, first, noise))
        db.execute("BEGIN")
        db.execute(
            "INSERT INTO chunk (ring, first, rows, from_ns, to_ns, data) VALUES (1, ?, ?, ?, ?, ?)",
            (first, CHUNK_ROWS, first * PERIOD_NS, (first + CHUNK_ROWS - 1) * PERIOD_NS + 50_000, blob),
        )
        db.execute("UPDATE ring SET position = ?", (first + CHUNK_ROWS,))
        for ring in roller.behind({1}):
            while roller.roll(ring):
                pass
        db.execute("COMMIT")
    db.close()


def query_ms(path: Path, count: int) -> float:
    """Median of some."""
    taken = []
    for _ in range(QUERIES):
        began = time.perf_counter()
        with closing(open_record(path)) as db:
            found = points(db, "rig.s5", count=count)
        taken.append((time.perf_counter() - began) * 1000)
        assert len(found.buckets) <= count
    return round(median(taken), 1)


def run(chunks: int = CHUNKS) -> dict[str, object]:
    """Milliseconds by the number of points that were asked for, and what rollups cost."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        path = Path(folder) / FILE_NAME
        make(path, chunks)
        with closing(open_record(path)) as db:
            (rows,) = db.execute("SELECT sum(length(data)) FROM chunk").fetchone()
            (rolled,) = db.execute("SELECT sum(length(data)) FROM rollup").fetchone()
        figures = {f"points_{count}_ms": query_ms(path, count) for count in COUNTS}
        return {"hours": chunks * 10 / 3600, **figures, "rollup_bytes_ratio": round(rolled / rows, 3)}


if __name__ == "__main__":
    import json

    print(json.dumps(run(), indent=2))
