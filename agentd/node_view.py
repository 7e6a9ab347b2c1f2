"""What the gateway may ask of the daemon: a seam, so that either can be tested alone."""

from __future__ import annotations

from typing import Protocol

from agentd.command import Answer, Command
from agentd.config.plan import NodePlan
from agentd.event_log import EventLog
from agentd.runtime.process_image import ProcessImage
from agentd.status import NodeStatus


class NodeView(Protocol):
    """The daemon as its gateway sees it."""

    @property
    def plan(self) -> NodePlan:
        """The configuration in force."""

    @property
    def image(self) -> ProcessImage:
        """Every signal's latest value."""

    @property
    def events(self) -> EventLog:
        """Recent events, and the way to follow them."""

    def status(self) -> NodeStatus:
        """What runs, how well, and why something does not."""

    async def command(self, command: Command, origin: str) -> Answer:
        """Carry a command out. `origin` names who asked, for the record."""
