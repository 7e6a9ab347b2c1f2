"""The row under construction: what this tick has seen and done so far, a list entry a column."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentd.config.plan import SignalPlan
from hal.signal import Absent

INT64 = 2**63


class LoopRow:
    """Columns of one loop. Parts write into it and read from it; `publish` packs it as it stands.

    `values` holds numbers only (NaN or 0 where absent), so that it can be packed at once; `reasons`
    says what is present. `objects` holds the arrays themselves; their value is their ring's index.
    """

    def __init__(self, columns: Sequence[SignalPlan]) -> None:
        self.columns = tuple(columns)
        self.index_of = {column.name: i for i, column in enumerate(columns)}
        self.empty = [math.nan if column.type == "float" else 0 for column in columns]
        self.values: list[float] = list(self.empty)
        self.stamps_ns: list[int] = [0] * len(columns)
        self.reasons = bytearray([Absent.NOT_YET] * len(columns))
        self.objects: list[object] = [None] * len(columns)
        self.kinds = [column.type for column in columns]

    def clear(self, column: int, reason: int) -> None:
        """Make a column absent. Its time stamp stays: when it was last there."""
        self.values[column] = self.empty[column]
        self.reasons[column] = reason
        self.objects[column] = None

    def store(self, column: int, value: float | int | bool | None, stamp_ns: int) -> None:
        """Set a scalar column from what a part left in its attribute.

        Raises TypeError when it is not a number.
        """
        if value is None:
            self.clear(column, Absent.NOT_GIVEN)
            return
        kind = self.kinds[column]
        try:
            if value != value:  # noqa: PLR0124 - the fastest test for NaN
                self.clear(column, Absent.NOT_A_NUMBER)
                return
            stored = value if type(value).__name__ == kind else _converted(value, kind)
        except OverflowError:
            self.clear(column, Absent.OUT_OF_RANGE)
            return
        except (TypeError, ValueError):
            name = self.columns[column].name
            raise TypeError(f"{name}: found {value!r:.80}, expected a value of type {kind}") from None
        if kind == "int" and not -INT64 <= stored < INT64:
            self.clear(column, Absent.OUT_OF_RANGE)
            return
        self.values[column] = stored
        self.stamps_ns[column] = stamp_ns
        self.reasons[column] = 0


def _converted(value: object, kind: str) -> float | int | bool:
    """Numbers of other types (numpy's, mostly) as the declared one; a text is no number even if it reads like one."""
    if isinstance(value, (str, bytes, bytearray)):
        raise TypeError
    return float(value) if kind == "float" else int(value) if kind == "int" else bool(value)  # type: ignore[arg-type, call-overload]
