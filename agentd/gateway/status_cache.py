"""The node's status, computed at most ten times a second however many ask."""

from __future__ import annotations

from agentd.node_view import NodeView
from agentd.status import NodeStatus
from hal.clock import now_ns

KEEP_NS = 100_000_000


class StatusCache:
    """Remembers the last answer for a moment."""

    def __init__(self, view: NodeView) -> None:
        self._view = view
        self._status: NodeStatus | None = None
        self._asked_ns = 0

    def get(self) -> NodeStatus:
        """The status, at most `KEEP_NS` old."""
        now = now_ns()
        if self._status is None or now - self._asked_ns > KEEP_NS:
            self._status, self._asked_ns = self._view.status(), now
        return self._status

    def forget(self) -> None:
        """After a command: the next answer is a new one."""
        self._status = None
