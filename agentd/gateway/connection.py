"""One HTTP connection: limits on what a client may send before anyone looks at it, and on how many there are.

aiohttp answers a request that is not HTTP in plain text; here it gets the same error body as every other.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from agentd.gateway.errors import SECURITY_HEADERS, code_of, error_response

MAX_CONNECTIONS = 100
MAX_LINE_BYTES = 4096
MAX_HEADER_BYTES = 8190
MAX_HEADERS = 64
KEEPALIVE_S = 30.0
FIRST_REQUEST_WITHIN_S = 10.0
"""A connection that says nothing is closed; between requests `KEEPALIVE_S` holds."""

LINGER_S = 1.0
"""How long a body that nobody wants is read, so that the client gets to see the answer."""

_log = logging.getLogger("agentd.gateway")


class Connection(web.RequestHandler):
    """aiohttp's connection with our limits and error bodies."""

    __slots__ = ("_waits",)

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own runner passes None to switch it off
            keepalive_timeout=KEEPALIVE_S,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
            lingering_time=LINGER_S,
        )
        self._waits: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to wait for the first request."""
        super().connection_made(transport)
        self._waits = asyncio.get_running_loop().call_later(FIRST_REQUEST_WITHIN_S, transport.close)

    def spoke(self) -> None:
        """A whole request came."""
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone."""
        self.spoke()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is not HTTP (400, 431), or to an error outside of any handler."""
        self.spoke()
        if not isinstance(exc, BadHttpMessage):
            _log.error("request failed outside of its handler", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        if isinstance(exc, LineTooLong):
            status = 431
        text = f"not a valid HTTP request: {(message or '').splitlines()[0]}" if message else code_of(status)
        response = error_response(status, code_of(status), text, SECURITY_HEADERS)
        response.force_close()
        return response


class Turned(asyncio.Protocol):
    """One connection too many: told so, and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer without waiting for the request."""
        assert isinstance(transport, asyncio.WriteTransport)
        body = b'{"error":{"code":"busy","message":"too many connections, expected at most %d"}}' % MAX_CONNECTIONS
        head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
        transport.write(head % len(body) + b"Retry-After: 1\r\nConnection: close\r\n\r\n" + body)
        transport.close()


def accept(server: web.Server, loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    """A protocol for a new connection."""
    return Connection(server, loop) if len(server.connections) < MAX_CONNECTIONS else Turned()
