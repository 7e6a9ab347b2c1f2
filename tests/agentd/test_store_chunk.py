"""Chunks: what comes out is what went in, to the bit; what is regular costs nothing; what is damaged is refused."""

from __future__ import annotations

import math
import random
import struct
import zlib
from contextlib import suppress

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentd.config.plan import SignalPlan
from agentd.runtime.ring import CRC, RowCodec
from agentd.store.chunk import Chunk, ChunkError, Header, RowShape
from agentd.store.chunk_encoder import ChunkEncoder
from agentd.store.column import GROUPS, Code, How

PERIOD_NS = 10_000_000
Fields = tuple[list[int], list[float | int], list[int], bytes]

any_float = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([-0.0, math.nan, -math.inf, 5e-324])
any_int = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1) | st.integers(0, 10)
resolutions = st.sampled_from([None, 0.001, 0.1, 0.0625, 0.002, 3.0, 1e-12, 5e-324, 1e300])
columns = st.builds(
    lambda kind, resolution: (kind, resolution if kind == "float" else None),
    st.sampled_from(["float", "float", "int", "bool", "array"]),
    resolutions,
)


def plan(kinds: list[tuple[str, float | None]]) -> list[SignalPlan]:
    return [
        SignalPlan(name=f"a.s{i}", type=kind, resolution=resolution, dtype="uint8" if kind == "array" else "")
        for i, (kind, resolution) in enumerate(kinds)
    ]


class Rows:
    """Packs rows as the ring's writer does."""

    def __init__(self, signals: list[SignalPlan], parts: int = 2, first: int = 0) -> None:
        self.signals, self.parts = signals, parts
        self.codec, self.next, self.data = RowCodec(signals, parts), first, b""

    def add(self, times: tuple[int, int, float], words: list[int], values: list[float | int],
            stamps: list[int], reasons: bytes) -> None:  # fmt: skip
        """`times` are tick, time and dt, `words` the eight 32-bit ones and the parts' durations."""
        body = self.codec.body.pack(self.next, *times, *words, *values, *stamps, reasons)
        self.next += 1
        self.data += (body + CRC.pack(zlib.crc32(body))).ljust(self.codec.row_bytes, b"\0")

    def encode(self) -> bytes:
        return ChunkEncoder(self.signals, self.parts, PERIOD_NS).encode(self.data)

    def chunk(self) -> Chunk:
        return Chunk(self.encode(), RowShape(self.signals, self.parts))


@st.composite
def any_rows(draw: st.DrawFn) -> Rows:
    """Rows of any layout, with whatever fits the fields."""
    rows = Rows(plan(draw(st.lists(columns, max_size=5))), draw(st.integers(0, 3)), draw(st.integers(0, 2**40)))
    steps = [st.integers(-50, 50).map(resolution.__mul__) for resolution in (0.001, 0.0625)]
    drawn = {"float": st.one_of(any_float, *steps), "int": any_int, "bool": st.integers(0, 1), "array": any_int}
    words = st.lists(u32, min_size=8 + rows.parts, max_size=8 + rows.parts)
    for _ in range(draw(st.integers(1, 12))):
        rows.add(
            (draw(u64), draw(any_int), draw(any_float)), draw(words),
            [draw(drawn[signal.type]) for signal in rows.signals], [draw(any_int) for _ in rows.signals],
            bytes(draw(st.integers(0, 255)) for _ in rows.signals),
        )  # fmt: skip
    return rows


def drive(count: int, signals: list[SignalPlan], value: object = None) -> Rows:
    """Rows as a loop makes them: on schedule and a little late, measured together; `value(column, row)`."""
    rows, noise, before = Rows(signals, first=70), random.Random(5), 0
    for i in range(count):
        wake = noise.randrange(40_000, 90_000)
        time = 10**15 + i * PERIOD_NS + wake
        dt = (time - before) / 1_000_000_000 if before else 0.01
        stamp = time + noise.randrange(1000, 2000)
        values = [value(c, i) if callable(value) else 0.0 for c in range(len(signals))]
        rows.add((i + 500, time, dt), [0, wake, *[0] * 8], values, [stamp] * len(signals), bytes(len(signals)))
        before = time
    return rows


@given(any_rows())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_rows_come_back_to_the_bit(rows: Rows) -> None:
    assert rows.chunk().raw() == rows.data


@given(
    st.lists(
        st.integers(-(2**31), 2**31 - 1) | st.sampled_from([math.nan, math.inf, -math.inf, -0.0]),
        min_size=2,
        max_size=60,
    ),
    st.sampled_from([0.001, 0.1, 0.0625, 1 / 3, 25.0]),
    st.booleans(),
    st.integers(0, 3),
)
@example([5, -0.0], 0.001, False, 0)
@example([math.nan, 0], 0.001, True, 0)
@example([2**31 - 1, 0], 0.001, False, 0)
@settings(deadline=None)
def test_steps_come_back_to_the_bit(steps: list[float], resolution: float, divided: bool, odd: int) -> None:
    inverse = round(1 / resolution) or 1
    values = [step / inverse if divided else step * resolution for step in steps]
    values += [0.1234567 * odd] * odd
    signals = plan([("float", resolution)])
    rows = drive(len(values), signals, lambda _column, i: values[i])
    chunk = rows.chunk()
    assert chunk.raw() == rows.data
    assert struct.pack(f"{len(values)}d", *chunk.values(0, "float")) == struct.pack(f"{len(values)}d", *values)


@pytest.mark.parametrize("bits", [0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001, 0x7FF800000000ABCD])
def test_unusual_nans_keep_their_bits(bits: int) -> None:
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    rows = drive(40, plan([("float", 0.001), ("float", None)]), lambda _column, i: value if i % 3 else i * 0.001)
    assert rows.chunk().raw() == rows.data


def test_columns_are_what_the_ring_says() -> None:
    signals = plan([("float", 0.001), ("int", None), ("bool", None)])
    rows = drive(300, signals, lambda column, i: (i * 0.001, i * i, i % 2)[column])
    chunk = rows.chunk()
    size = rows.codec.row_bytes
    decoded = [rows.codec.decode(rows.data[at : at + size]) for at in range(0, len(rows.data), size)]
    assert (chunk.first, chunk.rows) == (70, 300)
    assert chunk.times_ns() == [row.time_ns for row in decoded]
    assert chunk.ticks() == [row.tick for row in decoded]
    for column, signal in enumerate(signals):
        assert list(chunk.values(column, signal.type)) == [row.values[column] for row in decoded]
        assert list(chunk.stamps_ns(column)) == [row.stamps_ns[column] for row in decoded]
        assert chunk.reasons(column) == bytes(row.reasons[column] for row in decoded)


def sized(kinds: list[tuple[str, float | None]], value: object) -> float:
    """Bytes a row of 1,000 rows, beyond what the same rows cost with constant values."""
    signals = plan(kinds)
    return (len(drive(1000, signals, value).encode()) - len(drive(1000, signals, lambda _c, _i: 1.5).encode())) / 1000


def test_constant_columns_cost_nothing() -> None:
    one, hundred = (len(drive(1000, plan([("float", None)] * count)).encode()) for count in (1, 100))
    assert hundred - one < 500


def test_exact_steps_cost_less_than_two_bytes() -> None:
    wave = [round(math.sin(i / 30) * 2000) for i in range(1000)]
    assert sized([("float", 0.001)], lambda _column, i: wave[i] * 0.001) < 2.0
    assert sized([("float", None)], lambda _column, i: wave[i] * 0.001) > 5.0


def test_few_different_words_cost_about_a_byte() -> None:
    noise = random.Random(1)
    levels = [noise.random() for _ in range(100)]
    picked = [noise.choice(levels) for _ in range(1000)]
    assert sized([("float", None)], lambda _column, i: picked[i]) < 2.0


def test_equal_columns_are_stored_once() -> None:
    noise = random.Random(2)
    values = [noise.random() for _ in range(1000)]
    assert sized([("float", None)] * 3, lambda _column, i: values[i]) < 1.02 * sized(
        [("float", None)], lambda _c, i: values[i]
    )


def test_encoder_remembers_without_changing_what_it_writes() -> None:
    noise = random.Random(3)
    signals = plan([("float", None), ("float", 0.001)])
    encoder, shape = ChunkEncoder(signals, 2, PERIOD_NS), RowShape(signals, 2)
    for turn in range(30):
        levels = [noise.random() for _ in range(noise.choice([3, 40, 300, 900]))]
        rows = drive(
            noise.choice([1, 20, 1000]), signals,
            lambda column, _i, levels=levels: noise.choice(levels) if column == 0 else noise.randrange(999) / 1000,
        )  # fmt: skip
        assert Chunk(encoder.encode(rows.data), shape).raw() == rows.data, turn


def test_work_pauses_between_slices() -> None:
    signals, pauses = plan([("float", None)] * 64), []
    rows = drive(500, signals, lambda column, i: i * 0.1 + column)
    ChunkEncoder(signals, 2, PERIOD_NS).encode(rows.data, lambda: pauses.append(1))
    assert len(pauses) >= 8


@pytest.mark.parametrize("size", [0, 1, 100])
def test_parts_of_rows_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="expected up to"):
        ChunkEncoder(plan([("float", None)]), 2, PERIOD_NS).encode(bytes(size))


GOOD = drive(
    200, plan([("float", 0.001), ("float", None), ("int", None)]), lambda column, i: i if column == 2 else i * 0.001
)
BLOB, SHAPE = GOOD.encode(), RowShape(GOOD.signals, 2)


def read_all(blob: bytes) -> bytes:
    return Chunk(blob, SHAPE).raw()


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_chunk_is_an_error_and_never_other_values(data: st.DataObject) -> None:
    blob = bytearray(BLOB)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(blob) - 1))
        blob[at] ^= data.draw(st.integers(1, 255))
    blob = blob[: data.draw(st.integers(0, len(blob)) | st.just(len(blob)))]
    try:
        found = read_all(bytes(blob))
    except ChunkError:
        return
    assert found == GOOD.data


numbers = st.integers(-(2**63), 2**64 - 1) | st.integers(-2, 20)
codes = st.builds(Code, numbers, numbers, numbers, numbers, st.floats(), st.binary(max_size=40))


@given(st.lists(st.tuples(st.integers(0, 200), codes), min_size=1, max_size=6), st.integers(-1, 300), st.data())
@settings(max_examples=300, deadline=None)
def test_a_hostile_header_is_an_error(changes: list[tuple[int, Code]], rows: int, data: st.DataObject) -> None:
    length = int.from_bytes(BLOB[1:5], "little")
    header = msgspec.msgpack.decode(zstandard.decompress(BLOB[5 : 5 + length]), type=Header)
    coded = list(header.codes)
    for at, code in changes:
        coded[at % len(coded)] = code
    frames = data.draw(st.just(header.frames) | st.lists(numbers, min_size=GROUPS, max_size=GROUPS))
    hostile = msgspec.structs.replace(header, codes=coded, frames=frames, rows=data.draw(st.just(200) | st.just(rows)))
    first = zstandard.compress(msgspec.msgpack.encode(hostile))
    blob = BLOB[:1] + len(first).to_bytes(4, "little") + first + BLOB[5 + length :]
    with suppress(ChunkError):
        read_all(blob)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_error(blob: bytes) -> None:
    with pytest.raises(ChunkError):
        read_all(blob)


def test_a_frame_that_claims_gigabytes_is_refused() -> None:
    bomb = zstandard.compress(bytes(1 << 26))
    with pytest.raises(ChunkError, match="at most"):
        read_all(b"\x01" + len(bomb).to_bytes(4, "little") + bomb)


def test_columns_cannot_refer_to_each_other_in_a_circle() -> None:
    length = int.from_bytes(BLOB[1:5], "little")
    header = msgspec.msgpack.decode(zstandard.decompress(BLOB[5 : 5 + length]), type=Header)
    for field, reference in ((1, 2), (2, 2), (1, 3)):
        coded = list(header.codes)
        coded[field] = Code(How.WHOLE, 0, 0, reference)
        first = zstandard.compress(msgspec.msgpack.encode(msgspec.structs.replace(header, codes=coded)))
        with pytest.raises(ChunkError, match="impossible code"):
            read_all(BLOB[:1] + len(first).to_bytes(4, "little") + first + BLOB[5 + length :])


def test_another_layout_is_refused() -> None:
    with pytest.raises(ChunkError, match="another layout"):
        Chunk(BLOB, RowShape(GOOD.signals[:2], 2))
