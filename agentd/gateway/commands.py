"""`POST /api/v1/command`: the only way to change something, and only over the Unix socket."""

from __future__ import annotations

import asyncio
import socket
import struct

import msgspec
from aiohttp import web

from agentd.command import Command
from agentd.gateway.errors import Refused, json_response
from agentd.gateway.status_cache import StatusCache
from agentd.node_view import NodeView

BODY_WITHIN_S = 5.0
DONE_WITHIN_S = 60.0
"""A reload reads the configuration in a process of its own, on a slow board."""

_PEER = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


class Commands:
    """The handler that writes."""

    def __init__(self, view: NodeView, statuses: StatusCache) -> None:
        self._view, self._statuses = view, statuses
        self._decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)

    def routes(self) -> list[web.RouteDef]:
        """Where the handler is."""
        return [web.post("/api/v1/command", self.command)]

    async def command(self, request: web.Request) -> web.Response:
        """The body is a `Command`; the answer an `Answer`: 200 when it was done, 409 when it was refused."""
        command = self._decoded(await _body(request))
        try:
            async with asyncio.timeout(DONE_WITHIN_S):
                answer = await self._view.command(command, origin_of(request))
        except TimeoutError:
            raise Refused(504, "timeout", f"not done within {DONE_WITHIN_S:.0f} s; see agentctl events") from None
        finally:
            self._statuses.forget()
        return json_response(answer, 200 if answer.ok else 409)

    def _decoded(self, body: bytes) -> Command:
        """Raises Refused."""
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Refused(400, "bad_command", f"not a command: {error}") from None


async def _body(request: web.Request) -> bytes:
    """Raises Refused when it does not come; aiohttp's own error when it is too large."""
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            return await request.read()
    except TimeoutError:
        raise Refused(408, "timeout", f"the body did not come within {BODY_WITHIN_S:.0f} s") from None


def origin_of(request: web.Request) -> str:
    """Who is at the other end, as the kernel says: `uid 1000 pid 4711`."""
    connection = request.get_extra_info("socket")
    if connection is None:
        raise Refused(403, "unknown_origin", "the peer is gone")
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, uid, _gid = _PEER.unpack(peer)
    return f"uid {uid} pid {pid}"
