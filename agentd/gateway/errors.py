"""Error bodies: every answer that is not a success says what was found and what was expected, as JSON."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web

JSON = "application/json"

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""On every answer. Nothing here permits another origin to read one."""


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong: a word for programs, a sentence for people."""

    code: str
    message: str


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every error."""

    error: ErrorDetail


class Refused(Exception):
    """A request that is answered with an error. Changes nothing."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}

    def response(self) -> web.Response:
        """As an answer."""
        return error_response(self.status, self.code, self.message, self.headers)


def error_response(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error body with its status; the connection is closed when the request was not understood as a whole."""
    body = msgspec.json.encode(ErrorBody(ErrorDetail(code, message)))
    response = web.Response(status=status, body=body, content_type=JSON, headers=headers)
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
        response.force_close()
    return response


def code_of(status: int) -> str:
    """The word for a status: 404 is `not_found`."""
    return HTTPStatus(status).name.lower()


def json_response(value: object, status: int = 200) -> web.Response:
    """Any msgspec type as JSON; never cached, it is already old."""
    body = msgspec.json.encode(value)
    return web.Response(status=status, body=body, content_type=JSON, headers={"Cache-Control": "no-store"})
