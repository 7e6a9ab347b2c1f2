"""The gateway: one server on loopback that only reads, one on a Unix socket that may write."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from agentd.config.plan import HttpPlan
from agentd.gateway.api import Api
from agentd.gateway.commands import Commands
from agentd.gateway.connection import accept
from agentd.gateway.metrics import Metrics
from agentd.gateway.pages import Pages
from agentd.gateway.readings import Readings
from agentd.gateway.recent import RecentRows
from agentd.gateway.record import RecordRoutes
from agentd.gateway.security import (
    MAX_BODY_BYTES,
    TcpPolicy,
    add_security_headers,
    contained,
    hosts_of,
    is_loopback,
)
from agentd.gateway.status_cache import StatusCache
from agentd.gateway.stream import STALLED_S, Stream
from agentd.node_view import NodeView

SOCKET_MODE = 0o600
BACKLOG = 64
SHUTDOWN_S = 0.5
"""How long a request that is being answered may take at the end; the daemon has two seconds in all."""


class GatewayError(Exception):
    """The gateway cannot listen. Message: where, why; what to do."""


class Gateway:
    """Serves one node. The socket's folder must exist; `record` is the recorder's database."""

    def __init__(
        self,
        view: NodeView,
        http: HttpPlan,
        socket_path: Path,
        record: Path | None = None,
        stalled_s: float = STALLED_S,
    ) -> None:
        self._http, self._socket_path = http, socket_path
        readings, statuses = Readings(view), StatusCache(view)
        self.stream = Stream(view, readings, statuses, stalled_s)
        api, metrics, pages = Api(view, readings, statuses), Metrics(readings, statuses, self.stream), Pages()
        reading = [*api.routes(), *RecentRows(readings).routes(), *metrics.routes(), *pages.routes()]
        self._record = RecordRoutes(record)
        reading += self._record.routes()
        reading.append(web.get("/events", self.stream.handle, allow_head=False))
        self._policy = TcpPolicy()
        self._tcp = _runner(reading, [contained, self._policy.middleware])
        self._unix = _runner([*reading, *Commands(view, statuses).routes()], [contained])
        self._servers: list[asyncio.Server] = []
        self._inode = 0
        self.port = 0

    @property
    def address(self) -> str:
        """Where the page is: `http://127.0.0.1:8080`."""
        host = self._http.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises GatewayError."""
        host, port = self._http.host, self._http.port
        if not is_loopback(host):
            raise GatewayError(f"http: host {host}: expected a loopback address such as 127.0.0.1")
        try:
            await self._listen(host, port)
        except GatewayError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Refuse new connections, end the streams, let running requests finish for a moment."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        self.stream.close()
        self._record.close()
        await asyncio.gather(self._tcp.cleanup(), self._unix.cleanup())
        self._unlink_own()

    async def _listen(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        await self._unix.setup()
        await self._tcp.setup()
        for_unix, for_tcp = self._unix.server, self._tcp.server
        assert for_unix is not None
        assert for_tcp is not None
        try:
            listening = _unix_socket(self._socket_path)
            self._inode = self._socket_path.stat().st_ino
            self._servers.append(await loop.create_unix_server(lambda: accept(for_unix, loop), sock=listening))
        except OSError as error:
            raise GatewayError(f"{self._socket_path}: {error.strerror or error}; check the runtime directory") from None
        try:
            server = await loop.create_server(lambda: accept(for_tcp, loop), host, port, backlog=BACKLOG)
        except OSError as error:
            hint = "choose another port with --http HOST:PORT (0 takes a free one), or under `http:`"
            raise GatewayError(f"http: {host}:{port}: {error.strerror or error}; {hint}") from None
        self._servers.append(server)
        self.port = server.sockets[0].getsockname()[1]
        self._policy.hosts = hosts_of(host, self.port)

    def _unlink_own(self) -> None:
        """Remove the socket, unless it is another daemon's by now."""
        try:
            if self._inode and self._socket_path.stat().st_ino == self._inode:
                self._socket_path.unlink()
        except FileNotFoundError:
            pass
        self._inode = 0


def _runner(routes: list[web.RouteDef], middlewares: list[Middleware]) -> web.AppRunner:
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
    app.add_routes(routes)
    app.on_response_prepare.append(add_security_headers)
    return web.AppRunner(app, shutdown_timeout=SHUTDOWN_S)


def _unix_socket(path: Path) -> socket.socket:
    """A socket that only its owner may open from the moment it exists: bind() takes the mode from the descriptor.

    One that a dead daemon left behind is replaced; whether it is dead the daemon's own lock has decided.
    """
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), SOCKET_MODE)
        listening.bind(str(path))
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
