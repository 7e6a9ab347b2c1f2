"""Rings of arrays: pictures arrive whole, with their time, or not at all."""

from __future__ import annotations

import mmap
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentd.config.plan import SignalPlan
from agentd.runtime.array_ring import ARRAY_BYTES, FORMATS, ArrayRingReader, ArrayRingWriter
from agentd.runtime.process_image import ProcessImage
from agentd.runtime.ring import HEADER_BYTES, Layout, RingError, RingWriter, Word

CAMERA = SignalPlan(name="robot.camera", type="array", dtype="uint8", shape=(4, 6))


def camera_ring(folder: Path, capacity: int = 4) -> tuple[ArrayRingWriter, ArrayRingReader]:
    path = folder / "robot.camera.1"
    return ArrayRingWriter(path, CAMERA, 1, capacity), ArrayRingReader(path)


def picture(grey: int) -> NDArray[np.uint8]:
    return np.full((4, 6), grey % 256, np.uint8)


@pytest.mark.parametrize("dtype", sorted(FORMATS))
def test_every_type_arrives_bit_by_bit(dtype: str, tmp_path: Path) -> None:
    made = (np.arange(6) * 37 % 11).astype(dtype.rstrip("_")).reshape(2, 3)
    signal = SignalPlan(name="a.b", type="array", dtype=dtype, shape=(2, 3))
    assert made.itemsize == ARRAY_BYTES[dtype]
    writer = ArrayRingWriter(tmp_path / "a.b.1", signal, ARRAY_BYTES[dtype], 4)
    assert writer.publish(77, made.data) == 0
    assert ArrayRingReader(tmp_path / "a.b.1").latest() == (0, 77, made.tobytes())


def test_old_arrays_are_gone_and_new_ones_are_found_by_index(tmp_path: Path) -> None:
    writer, reader = camera_ring(tmp_path)
    assert reader.latest() is None
    for number in range(10):
        assert writer.publish(number, picture(number).data) == number
    assert [found[0] for i in range(-2, 12) if (found := reader.at(i)) is not None] == [6, 7, 8, 9]
    latest = reader.latest()
    assert latest is not None and latest[0] == 9


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((6, 4), np.uint8),
        np.zeros((4, 6), np.int8),
        np.zeros((2, 6), np.uint16),
        np.zeros((4, 6), np.float64),
        np.zeros(7, np.uint8),
    ],
    ids=["shape", "sign", "width", "float", "length"],
)
def test_an_array_of_another_type_or_shape_is_refused_by_name(tmp_path: Path, wrong: NDArray[np.generic]) -> None:
    writer, reader = camera_ring(tmp_path)
    with pytest.raises(ValueError, match=r"robot\.camera: found .* expected uint8 \(4, 6\)"):
        writer.publish(1, wrong.data)
    assert reader.head == 0


def test_an_array_that_is_not_contiguous_is_refused(tmp_path: Path) -> None:
    writer, reader = camera_ring(tmp_path)
    with pytest.raises(BufferError):
        writer.publish(1, np.zeros((6, 4), np.uint8).T.data)
    assert reader.head == 0


def test_a_writer_that_dies_at_any_byte_leaves_the_array_before(tmp_path: Path) -> None:
    writer, reader = camera_ring(tmp_path)
    for number in range(5):
        writer.publish(1000 + number, picture(number + 1).data)
    start, size = reader_slot(tmp_path)
    with (tmp_path / "robot.camera.1").open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        after = bytes(data[start : start + size])  # array 4 in the slot of array 0
        for cut in range(size):
            data[start : start + size] = after[:cut] + b"\0" * (size - cut)
            assert reader.latest() == (3, 1003, picture(4).tobytes()), cut


def test_a_wrong_time_is_no_whole_array(tmp_path: Path) -> None:
    writer, reader = camera_ring(tmp_path)
    writer.publish(1000, picture(1).data)
    start, _size = reader_slot(tmp_path)
    with (tmp_path / "robot.camera.1").open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        struct.pack_into("<q", data, start + 8, 0)
        assert reader.at(0) is None


def reader_slot(folder: Path) -> tuple[int, int]:
    """Where slot 0 begins, and the bytes of it that count."""
    data = (folder / "robot.camera.1").read_bytes()
    return struct.unpack_from("<Q", data, Word.DATA * 8)[0], 24 - 4 + 4 * 6


words = st.sampled_from([Word.HEAD, Word.SLOT_BYTES, Word.CAPACITY, Word.DATA, Word.LAYOUT_BYTES])


@settings(max_examples=80, deadline=None)
@given(
    hostile=st.dictionaries(words, st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 300)), max_size=2),
    holes=st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=30)), max_size=3),
    signal=st.one_of(
        st.none(),
        st.builds(
            SignalPlan,
            name=st.just("x.y"),
            dtype=st.sampled_from(["uint8", "float64", "nonsense", ""]),
            shape=st.lists(st.integers(-(2**40), 2**40), max_size=3).map(tuple),
        ),
        st.binary(max_size=60),
    ),
)
def test_a_damaged_file_gives_a_ring_error_or_whole_arrays(
    hostile: dict[Word, int], holes: list[tuple[int, bytes]], signal: SignalPlan | bytes | None
) -> None:
    import msgspec

    with tempfile.TemporaryDirectory() as folder:
        writer, _reader = camera_ring(Path(folder))
        for number in range(5):
            writer.publish(number, picture(number).data)
        writer.close()
        path = Path(folder) / "robot.camera.1"
        data = bytearray(path.read_bytes())
        if signal is not None:
            text = signal if isinstance(signal, bytes) else msgspec.json.encode(signal)
            data[HEADER_BYTES : HEADER_BYTES + len(text)] = text
            struct.pack_into("<Q", data, Word.LAYOUT_BYTES * 8, len(text))
        for word, value in hostile.items():
            struct.pack_into("<Q", data, word * 8, value)
        for at, junk in holes:
            data[at : at + len(junk)] = junk
        path.write_bytes(data)
        try:
            reader = ArrayRingReader(path)
        except RingError:
            return
        found = [reader.latest(), *(reader.at(i) for i in (-1, 0, 4, 2**63))]
        assert all(entry is None or len(entry[2]) == reader.item_bytes for entry in found)


def test_the_process_image_follows_an_array_to_the_next_generation(tmp_path: Path) -> None:
    image = ProcessImage(tmp_path)
    for generation in (1, 2):
        layout = Layout(
            node="n", loop="drive", generation=generation, boot_id="b", period_ns=1, columns=(CAMERA,), parts=()
        )
        RingWriter(tmp_path / "drive" / f"ring.{generation}", layout, 8)
        image.refresh("drive")
        assert image.array("drive", "robot.camera") is None, "not made yet"
        writer = ArrayRingWriter(tmp_path / "drive" / f"robot.camera.{generation}", CAMERA, 1, 4)
        writer.publish(5, picture(generation).data)
        reader = image.array("drive", "robot.camera")
        assert reader is not None and reader.latest() == (0, 5, picture(generation).tobytes())
    image.close()
