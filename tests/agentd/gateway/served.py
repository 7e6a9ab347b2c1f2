"""A gateway in front of a fake node, asked over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agentd.config.plan import HttpPlan, NodePlan
from agentd.gateway.server import Gateway
from tests.agentd.gateway.fake_node import FakeNode

T = TypeVar("T")
Messages = list[tuple[str, Any]]
Condition = Callable[[Messages], bool]
ANSWER_WITHIN_S = 10.0


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's word; fails when this is no error body."""
        assert self.headers["content-type"].startswith("application/json")
        error = self.json["error"]
        assert set(error) == {"code", "message"}
        assert error["message"]
        return str(error["code"])


class Served:
    """Runs its own event loop, but only while it is asked something."""

    def __init__(self, folder: Path, plan: NodePlan | None = None, stalled_s: float = 15.0) -> None:
        self.runner = asyncio.Runner()
        self.socket_path = folder / "agentd.sock"
        self.node = FakeNode(folder / "run", plan)
        self.record = folder / "record.sqlite"
        self.gateway = Gateway(self.node, HttpPlan(port=0), self.socket_path, self.record, stalled_s)
        self.run(self.gateway.start())

    @property
    def host(self) -> str:
        """What a browser would send as Host."""
        return f"127.0.0.1:{self.gateway.port}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the gateway live until `work` is done."""

        async def limited() -> T:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await work

        return self.runner.run(limited())

    def raw(self, data: bytes, *, unix: bool = False) -> Reply:
        """Send bytes as they are, read one answer until the end of the connection."""
        return self.run(self._raw(data, unix))

    def ask(
        self,
        path: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        unix: bool = False,
    ) -> Reply:
        """One request in a connection of its own. A header that is empty is left out."""
        fields = {"Host": "agentd" if unix else self.host, "Connection": "close", **(headers or {})}
        if body:
            fields.setdefault("Content-Length", str(len(body)))
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items() if v)]
        return self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body, unix=unix)

    async def connect(self, unix: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection."""
        if unix:
            return await asyncio.open_unix_connection(str(self.socket_path))
        return await asyncio.open_connection("127.0.0.1", self.gateway.port)

    async def _raw(self, data: bytes, unix: bool) -> Reply:
        reader, writer = await self.connect(unix)
        writer.write(data)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *fields = head.strip().split("\r\n")
            headers = dict(_field(line) for line in fields)
            length = headers.get("content-length")
            body = await reader.readexactly(int(length)) if length and not data.startswith(b"HEAD") else b""
        finally:
            writer.close()
        return Reply(int(status.split()[1]), headers, body)

    def follow(self, path: str, until: Condition, **headers: str) -> Messages:
        """Read messages of the stream until `until` is true of all that came."""
        return self.run(self._follow(path, until, headers))

    async def _follow(self, path: str, until: Condition, headers: dict[str, str]) -> Messages:
        reader, writer = await self.connect()
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n{extra}\r\n".encode())
        found: Messages = []
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"text/event-stream" in head, head
            while not until(found):
                found += _messages(await _chunk(reader))
        finally:
            writer.close()
        return found

    def close(self) -> None:
        """Stop the gateway and the loop."""
        self.run(self.gateway.stop())
        self.runner.close()
        self.node.close()


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readline(), 16)
    return (await reader.readexactly(size + 2))[:-2]


def _messages(data: bytes) -> Messages:
    """Each write of the server holds whole messages."""
    found = []
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found
