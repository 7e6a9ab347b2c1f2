"""Rings: what a reader accepts is what the writer wrote, whatever happens to the writer or to the file."""

from __future__ import annotations

import math
import mmap
import os
import resource
import signal
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentd.config.plan import SignalPlan
from agentd.runtime.process_image import ProcessImage, generations
from agentd.runtime.ring import HEADER_BYTES, MAGIC, Layout, RingError, RingReader, RingWriter, Row, RowCodec, Word
from hal.clock import NS_PER_S, SystemClock

COLUMNS = (
    SignalPlan(name="oven.temperature", type="float", unit="degC"),
    SignalPlan(name="oven.count", type="int"),
    SignalPlan(name="oven.door", type="bool"),
)
PARTS = ("oven", "keep")
int64 = st.integers(-(2**63), 2**63 - 1)
uint32 = st.integers(0, 2**32 - 1)


def layout(generation: int = 1, columns: tuple[SignalPlan, ...] = COLUMNS) -> Layout:
    return Layout(
        node="robot-1", loop="bake", generation=generation, boot_id="b", period_ns=10_000_000,
        columns=columns, parts=PARTS,
    )  # fmt: skip


def publish(writer: RingWriter, number: int) -> None:
    """A row in which everything says its number, so that a mixture of two shows."""
    values = (float(number), number, number % 2)
    figures = [number % 2**32] * (8 + len(PARTS))
    writer.publish(number, number, 0.01, *figures, *values, number, number, number, bytes([number % 256] * 3))


def is_whole(row: Row) -> bool:
    """Whether every field of the row says the same number."""
    n = row.tick
    return (
        (row.position, row.time_ns) == (n, n)
        and row.values == (float(n), n, n % 2)
        and row.stamps_ns == (n, n, n)
        and row.reasons == bytes([n % 256] * 3)
        and {*row[4:12], *row.parts_ns} == {n % 2**32}
    )


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RingWriter]:
    made = RingWriter(tmp_path / "ring.1", layout(), 8)
    yield made
    made.close()


@pytest.fixture
def reader(writer: RingWriter, tmp_path: Path) -> Iterator[RingReader]:
    made = RingReader(tmp_path / "ring.1")
    yield made
    made.close()


@contextmanager
def patched(path: Path) -> Iterator[mmap.mmap]:
    """The bytes of a ring file, to damage them."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        yield data


@given(
    fixed=st.tuples(st.integers(0, 2**64 - 1), int64, st.floats(), *[uint32] * 8),
    parts=st.tuples(uint32, uint32),
    values=st.tuples(st.floats(), int64, int64),
    stamps=st.tuples(int64, int64, int64),
    reasons=st.binary(min_size=3, max_size=3),
)
def test_a_row_is_read_as_it_was_written(
    fixed: tuple[object, ...],
    parts: tuple[int, int],
    values: tuple[float, int, int],
    stamps: tuple[int, int, int],
    reasons: bytes,
) -> None:
    codec = RowCodec(COLUMNS, len(PARTS))
    row = codec.decode(codec.body.pack(7, *fixed, *parts, *values, *stamps, reasons))
    assert repr(row[1:12]) == repr(fixed)
    assert (row.position, row.parts_ns, row.stamps_ns, row.reasons) == (7, parts, stamps, reasons)
    assert repr(row.values) == repr(values)


def test_a_new_ring_has_no_row(reader: RingReader) -> None:
    assert (reader.head, reader.latest(), reader.row(0), reader.raw_since(0, 9), reader.span(0, 9)) == (
        0, None, None, (0, []), (0, b""),
    )  # fmt: skip


def test_the_latest_row_is_the_last_one_written(writer: RingWriter, reader: RingReader) -> None:
    for number in range(20):
        publish(writer, number)
        row = reader.latest()
        assert row is not None and is_whole(row) and row.tick == number


def test_only_the_last_rows_are_there(writer: RingWriter, reader: RingReader) -> None:
    for number in range(20):
        publish(writer, number)
    found = [row.tick for i in range(-3, 23) if (row := reader.row(i)) is not None]
    assert found == list(range(12, 20))


def test_a_reader_that_was_away_is_told_how_many_rows_it_lost(writer: RingWriter, reader: RingReader) -> None:
    for number in range(20):
        publish(writer, number)
    first, rows = reader.raw_since(5, 100)
    assert (first - 5, [reader.codec.decode(row).tick for row in rows]) == (7, list(range(12, 20)))


@settings(max_examples=60, deadline=None)
@given(
    written=st.integers(0, 40),
    since=st.integers(0, 50),
    limit=st.integers(0, 20),
    torn=st.one_of(st.none(), st.integers(0, 7)),
)
@example(written=5, since=2, limit=9, torn=2)
@example(written=20, since=0, limit=20, torn=4)
def test_a_span_is_the_same_rows_in_one_piece(written: int, since: int, limit: int, torn: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ring.1"
        writer, reader = RingWriter(path, layout(), 8), RingReader(path)
        for number in range(written):
            publish(writer, number)
        if torn is not None:
            with patched(path) as data:
                data[reader.words[Word.DATA] + torn * reader.codec.row_bytes + 40] ^= 0xFF
        _first, rows = reader.raw_since(since, limit)
        _again, span = reader.span(since, limit)
        row_bytes = reader.codec.row_bytes
        pieces = [span[at : at + row_bytes] for at in range(0, len(span), row_bytes)]
        assert pieces == rows
        assert all(is_whole(reader.codec.decode(row)) for row in rows)
        writer.close()
        reader.close()


def test_a_writer_that_dies_at_any_byte_of_a_row_leaves_the_row_before(tmp_path: Path) -> None:
    path = tmp_path / "ring.1"
    writer, reader = RingWriter(path, layout(), 8), RingReader(path)
    start, size = reader.words[Word.DATA], reader.codec.row_bytes
    for number in range(9):
        publish(writer, number)
    with patched(path) as data:
        after = bytes(data[start : start + size])  # row 8 in the slot of row 0
        for cut in range(size - 8):
            data[start : start + size] = after[:cut] + b"\0" * (size - cut)
            row = reader.latest()
            assert row is not None and is_whole(row) and row.tick == 7, cut
            struct.pack_into("<Q", data, Word.HEAD * 8, 8)
            first, rows = reader.raw_since(0, 99)
            assert (first, [reader.codec.decode(r).tick for r in rows]) == (1, list(range(1, 8)))
            assert reader.span(0, 99) == (1, b"".join(rows)), "the black box is not lost with its oldest row"
            struct.pack_into("<Q", data, Word.HEAD * 8, 9)
    writer.close()
    reader.close()


def test_a_row_of_the_lap_before_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "ring.1"
    writer, reader = RingWriter(path, layout(), 8), RingReader(path)
    for number in range(8):
        publish(writer, number)
    with patched(path) as data:
        struct.pack_into("<Q", data, Word.HEAD * 8, 9)  # the head is ahead of its row
    row = reader.latest()
    assert row is not None and row.tick == 7
    writer.close()
    reader.close()


def test_words_are_aligned_so_that_one_store_is_one_store(writer: RingWriter, reader: RingReader) -> None:
    assert (writer.words.format, writer.words.itemsize, len(writer.words)) == ("Q", 8, HEADER_BYTES // 8)
    assert (reader.words[Word.DATA] % mmap.PAGESIZE, reader.words[Word.SLOT_BYTES] % 8) == (0, 0)


def test_a_generation_is_never_overwritten(writer: RingWriter, tmp_path: Path) -> None:
    publish(writer, 0)
    with pytest.raises(FileExistsError):
        RingWriter(tmp_path / "ring.1", layout(), 8)
    assert RingReader(tmp_path / "ring.1").head == 1


def test_a_ring_without_room_leaves_nothing_behind_and_says_where_it_is_missing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match=r"File too large.*runtime directory.*ring\.1"):
            RingWriter(tmp_path / "ring.1", layout(), 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_does_not_fit_is_not_published(writer: RingWriter, reader: RingReader) -> None:
    publish(writer, 0)
    with pytest.raises(struct.error):
        publish(writer, 2**64)
    row = reader.latest()
    assert row is not None and row.tick == 0
    publish(writer, 1)
    row = reader.latest()
    assert row is not None and is_whole(row)


def use(path: Path) -> None:
    """Everything that a reader does."""
    reader = RingReader(path)
    row = reader.latest()
    for index in (-1, 0, 3, 2**63, 2**64 - 1):
        reader.row(index)
        reader.raw_since(index, 10)
        reader.span(index, 10)
    assert row is None or len(row.values) == len(reader.layout.columns)
    reader.close()


def good_file(path: Path, rows: int = 11) -> bytes:
    writer = RingWriter(path, layout(), 8)
    for number in range(rows):
        publish(writer, number)
    writer.close()
    return path.read_bytes()


hostile_words = st.dictionaries(
    st.sampled_from([Word.MAGIC, Word.HEAD, Word.SLOT_BYTES, Word.CAPACITY, Word.DATA, Word.LAYOUT_BYTES]),
    st.one_of(
        st.integers(0, 2**64 - 1), st.integers(0, 300), st.sampled_from([2**63, 2**64 - 1, 4096, 512, 511, 8, MAGIC])
    ),
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(
    words=hostile_words,
    holes=st.lists(st.tuples(st.integers(0, 6000), st.binary(min_size=1, max_size=40)), max_size=4),
    length=st.one_of(st.none(), st.integers(0, 6000)),
)
def test_a_damaged_file_gives_a_ring_error_or_whole_rows(
    words: dict[Word, int], holes: list[tuple[int, bytes]], length: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ring.1"
        data = bytearray(good_file(path))
        for word, value in words.items():
            struct.pack_into("<Q", data, word * 8, value)
        for at, junk in holes:
            data[at : at + len(junk)] = junk
        path.write_bytes(data if length is None else data[:length])
        with suppress_ring_error():
            use(path)


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.sampled_from([b"{}", b"[]", b"null", b'"\xff"', b'{"a":' * 60, b"[" * 400]),
        st.tuples(st.integers(0, 380), st.binary(max_size=9)),
    )
)
def test_a_layout_that_is_none_gives_a_ring_error(junk: bytes | tuple[int, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ring.1"
        data = bytearray(good_file(path, 1))
        length = struct.unpack_from("<Q", data, Word.LAYOUT_BYTES * 8)[0]
        text = data[HEADER_BYTES : HEADER_BYTES + length]
        if isinstance(junk, tuple):
            text[junk[0] : junk[0] + len(junk[1])] = junk[1]
        else:
            text[:] = junk
        data[HEADER_BYTES : HEADER_BYTES + len(text)] = text
        struct.pack_into("<Q", data, Word.LAYOUT_BYTES * 8, len(text))
        path.write_bytes(data)
        with suppress_ring_error():
            use(path)


@contextmanager
def suppress_ring_error() -> Iterator[None]:
    """A RingError is the right answer to a bad file; anything else fails the test."""
    try:
        yield
    except RingError as error:
        assert "ring.1" in str(error), "the message names the file"


@pytest.mark.parametrize("change", [{"period_ns": 0}, {"parts": ("a", "b", "c", "d")}, {"columns": COLUMNS[:1]}])
def test_a_layout_that_contradicts_the_file_gives_a_ring_error(tmp_path: Path, change: dict[str, object]) -> None:
    import msgspec

    path = tmp_path / "ring.1"
    data = bytearray(good_file(path, 1))
    text = msgspec.json.encode(msgspec.structs.replace(layout(), **change))
    data[HEADER_BYTES : HEADER_BYTES + len(text)] = text
    struct.pack_into("<Q", data, Word.LAYOUT_BYTES * 8, len(text))
    path.write_bytes(data)
    with pytest.raises(RingError):
        RingReader(path)


@contextmanager
def child(work: Callable[[], None]) -> Iterator[int]:
    """A process that works until it is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def write_for_ever(path: Path) -> None:
    writer = RingWriter(path, layout(), 8)
    number = 0
    while True:
        publish(writer, number)
        number += 1


def open_when_there(path: Path) -> RingReader:
    clock = SystemClock()
    limit_ns = clock.now_ns() + 10 * NS_PER_S
    while not path.exists() and clock.now_ns() < limit_ns:
        clock.wait_until(clock.now_ns() + NS_PER_S // 1000)
    return RingReader(path)


def read_against_a_writer(path: Path, snapshots: int) -> None:
    """No snapshot, row or span of a ring that is written as fast as possible is a mixture."""
    with child(lambda: write_for_ever(path)):
        reader = open_when_there(path)
        seen, cursor = set(), 0
        for turn in range(snapshots):
            row = reader.latest()
            if row is not None:
                assert is_whole(row)
                seen.add(row.tick)
            if turn % 8 == 0:
                first, span = reader.span(cursor, 16)
                size = reader.codec.row_bytes
                rows = [reader.codec.decode(span[at : at + size]) for at in range(0, len(span), size)]
                assert first >= cursor
                assert [row.position for row in rows] == list(range(first, first + len(rows)))
                assert all(map(is_whole, rows))
                cursor = first + len(rows)
        assert len(seen) > 2, "the writer wrote meanwhile"


def test_no_torn_row_is_accepted_while_the_writer_writes(tmp_path: Path) -> None:
    read_against_a_writer(tmp_path / "ring.1", 20_000)


@pytest.mark.system
def test_no_torn_row_is_accepted_in_a_million_snapshots(tmp_path: Path) -> None:
    read_against_a_writer(tmp_path / "ring.1", 1_000_000)


def test_a_writer_killed_at_any_moment_leaves_a_readable_ring(tmp_path: Path) -> None:
    for generation in range(1, 9):
        path = tmp_path / f"ring.{generation}"
        with child(lambda path=path: write_for_ever(path)):  # type: ignore[misc]
            reader = open_when_there(path)
            while reader.head < 10 * generation:
                pass
        row = reader.latest()
        assert row is not None and is_whole(row)
        first, rows = reader.raw_since(0, 99)
        assert first + len(rows) == reader.head
        assert len(rows) >= 7
        reader.close()
    assert generations(tmp_path) == list(range(1, 9))


def test_the_process_image_finds_the_newest_generation(tmp_path: Path) -> None:
    image = ProcessImage(tmp_path)
    assert image.loops() == []
    for generation in (1, 2, 10):
        writer = RingWriter(tmp_path / "bake" / f"ring.{generation}", layout(generation), 8)
        publish(writer, generation)
        writer.close()
        image.refresh("bake")
        ring = image.ring("bake")
        assert ring is not None and ring.layout.generation == generation
    assert image.loops() == ["bake"]
    image.close()


def test_nan_and_infinities_survive_the_ring(writer: RingWriter, reader: RingReader) -> None:
    figures = [0] * (8 + len(PARTS))
    writer.publish(0, 0, 0.01, *figures, math.nan, -1, 1, 0, 0, 0, b"\2\0\0")
    row = reader.latest()
    assert row is not None and math.isnan(row.values[0])
