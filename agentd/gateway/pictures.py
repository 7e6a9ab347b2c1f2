"""Pictures: array signals of bytes, as PNG for people and thinned out for the page.

PNG (Portable Network Graphics) specification, third edition, W3C: signature, IHDR, IDAT, IEND.
"""

from __future__ import annotations

import struct
import zlib

from agentd.config.plan import SignalPlan

GREY, RGB = 0, 2  # PNG colour types
_CHANNELS = {1: GREY, 3: RGB}
MAX_THUMBNAIL_PIXELS = 160 * 120


def size_of(signal: SignalPlan) -> tuple[int, int, int] | None:
    """Rows, columns and channels of a signal that is a picture: uint8, rows x columns, or x 3 for colour."""
    if signal.dtype != "uint8" or len(signal.shape) not in (2, 3):
        return None
    rows, columns = signal.shape[:2]
    channels = signal.shape[2] if len(signal.shape) == 3 else 1
    return (rows, columns, channels) if channels in _CHANNELS and rows > 1 and columns > 1 else None


def png(data: bytes, rows: int, columns: int, channels: int) -> bytes:
    """Rows of pixels as a PNG file."""
    stride = columns * channels
    lines = b"".join(b"\0" + data[start : start + stride] for start in range(0, rows * stride, stride))
    header = struct.pack(">IIBBBBB", columns, rows, 8, _CHANNELS[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def thinned(data: bytes, rows: int, columns: int, channels: int) -> tuple[bytes, int, int]:
    """Every n-th pixel of every n-th row, so that a large picture is small enough to send; rows, columns then."""
    step = 1
    while -(-rows // step) * -(-columns // step) > MAX_THUMBNAIL_PIXELS:
        step += 1
    if step == 1:
        return data, rows, columns
    stride = columns * channels
    lines = (data[y * stride : (y + 1) * stride] for y in range(0, rows, step))
    kept = b"".join(_every(line, step, channels) for line in lines)
    return kept, -(-rows // step), -(-columns // step)


def _every(line: bytes, step: int, channels: int) -> bytes:
    if channels == 1:
        return line[::step]
    pixels = bytearray(-(-len(line) // (channels * step)) * channels)
    for channel in range(channels):
        pixels[channel::channels] = line[channel :: channels * step]
    return bytes(pixels)
