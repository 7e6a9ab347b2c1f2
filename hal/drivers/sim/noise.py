"""Noise by number: the same seed and step give the same value, so a plant carries no generator in its state."""

from __future__ import annotations

_MASK = (1 << 64) - 1


def mix(seed: int, number: int) -> int:
    """64 well-mixed bits (splitmix64, Steele, Lea and Flood 2014)."""
    z = (seed * 0xD1342543DE82EF95 + number * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def uniform(seed: int, number: int) -> float:
    """Evenly spread over -1..1."""
    return mix(seed, number) / (1 << 63) - 1.0


def two_normals(seed: int, number: int) -> tuple[float, float]:
    """Two independent values of about standard normal distribution: sums of two evenly spread ones, within 2.45."""
    z = mix(seed, number)
    a = (z & 0xFFFF) + (z >> 16 & 0xFFFF)
    b = (z >> 32 & 0xFFFF) + (z >> 48)
    return (a - 65535) / 26755.0, (b - 65535) / 26755.0
