"""Who may ask what. TCP is read-only, on loopback, and for pages that this daemon served itself.

A web page from elsewhere can make a browser send requests to 127.0.0.1. Its requests carry that page's
Origin, or after DNS rebinding that page's own name as Host; both are refused. Writing is not possible over
TCP at all: it goes over the Unix socket, which the file system protects.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from agentd.gateway.connection import Connection
from agentd.gateway.errors import SECURITY_HEADERS, Refused, code_of, error_response

MAX_BODY_BYTES = 64 * 1024
READ_METHODS = ("GET", "HEAD")

_log = logging.getLogger("agentd.gateway")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def hosts_of(host: str, port: int) -> frozenset[str]:
    """What a browser on this machine may call us: every spelling of Host for one bound address."""
    names = {f"[{host}]" if ":" in host else host, "localhost"}
    if host == "localhost":
        names |= {"127.0.0.1", "[::1]"}
    spelled = {f"{name}:{port}" for name in names}
    return frozenset(spelled | names if port == 80 else spelled)


class TcpPolicy:
    """The checks of a request that came over TCP. `hosts` is set once the port is known."""

    def __init__(self) -> None:
        self.hosts: frozenset[str] = frozenset()

    def check(self, request: web.Request) -> None:
        """Raises Refused."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1:
            raise Refused(400, "bad_host", f"{len(hosts)} Host headers, expected exactly one")
        host = hosts[0].lower()
        if host not in self.hosts:
            expected = " or ".join(sorted(self.hosts))
            message = f"Host {host!r}: expected {expected}; when you forward the port, use the same number on your side"
            raise Refused(421, "foreign_host", message)
        if not request.raw_path.startswith("/"):
            raise Refused(400, "bad_target", "the request's target is a whole address, expected a path")
        for origin in request.headers.getall("Origin", []):
            if origin.lower() != f"http://{host}":
                raise Refused(403, "foreign_origin", f"Origin {origin!r}: expected this page's own, http://{host}")
        if request.method not in READ_METHODS:
            message = (
                f"{request.method}: HTTP over TCP is read-only, expected GET or HEAD; use agentctl to change things"
            )
            raise Refused(405, "read_only", message, {"Allow": ", ".join(READ_METHODS)})

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """For the outside of `contained`, so that a refusal gets its body there."""
        self.check(request)
        return await handler(request)


def check_size(request: web.Request) -> None:
    """Raises Refused before a body that is too large is read; a chunked one is stopped while it is read."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise Refused(413, "too_large", f"a body of {request.content_length} bytes, expected at most {MAX_BODY_BYTES}")


@web.middleware
async def contained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure becomes an answer with an error body; one that is our own fault is logged."""
    if isinstance(request.protocol, Connection):
        request.protocol.spoke()
    try:
        check_size(request)
        return await handler(request)
    except Refused as refused:
        return refused.response()
    except web.HTTPRequestEntityTooLarge:
        return error_response(413, "too_large", f"expected a body of at most {MAX_BODY_BYTES} bytes")
    except web.HTTPNotFound:
        return error_response(404, "not_found", f"{request.path}: nothing is here; see /api/v1/status")
    except web.HTTPException as error:
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return error_response(error.status, code_of(error.status), f"{request.method}: {error.reason}", headers)
    except Exception:
        _log.exception("%s %s failed", request.method, request.path)
        return error_response(500, code_of(500), "an error in agentd itself; its log has the details")


async def add_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`."""
    response.headers.update(SECURITY_HEADERS)
    response.headers.popall("Server", None)
