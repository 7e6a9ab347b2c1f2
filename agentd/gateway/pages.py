"""The dashboard's files: part of the package, read once, served as they are."""

from __future__ import annotations

import zlib
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).with_name("dashboard")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


class Pages:
    """`/` and what it asks for. Only files that were there at the start are ever served."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix in TYPES:
                body = path.read_bytes()
                self._files[path.name] = body, TYPES[path.suffix], f'"{zlib.crc32(body):08x}-{len(body):x}"'

    def routes(self) -> list[web.RouteDef]:
        """`/`, and each file by its name."""
        return [web.get("/" if name == INDEX else f"/{name}", self.file) for name in self._files]

    async def file(self, request: web.Request) -> web.Response:
        """The file; 304 when the browser has it already."""
        body, kind, tag = self._files[request.path.lstrip("/") or INDEX]
        headers = {"Cache-Control": "no-cache", "ETag": tag}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers={**headers, "Content-Type": kind})
