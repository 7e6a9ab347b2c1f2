"""Bad input over HTTP: the correct status, an error body, and nothing changed."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.agentd.gateway.served import Served

COMMAND = b'{"do": "emergency_stop", "reason": "test"}'


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/api/v1/command", "/api/v1/status", "/", "/nothing"])
def test_no_way_to_write_over_tcp(served: Served, method: str, path: str) -> None:
    reply = served.ask(path, method, body=COMMAND)
    assert (reply.status, reply.code) == (405, "read_only")
    assert reply.headers["allow"] == "GET, HEAD"
    assert served.node.commands == []


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "127.0.0.1", "localhost.evil:{port}"]
)
def test_a_foreign_host_is_misdirected(served: Served, host: str) -> None:
    reply = served.ask("/api/v1/status", headers={"Host": host.format(port=served.gateway.port)})
    assert (reply.status, reply.code) == (421, "foreign_host")


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "LOCALHOST:{port}"])
def test_every_name_of_the_loopback_is_our_own(served: Served, host: str) -> None:
    assert served.ask("/healthz", headers={"Host": host.format(port=served.gateway.port)}).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"])
def test_a_foreign_origin_is_refused(served: Served, origin: str) -> None:
    reply = served.ask("/api/v1/status", headers={"Origin": origin.format(port=served.gateway.port)})
    assert (reply.status, reply.code) == (403, "foreign_origin")


def test_our_own_page_may_ask(served: Served) -> None:
    assert served.ask("/api/v1/status", headers={"Origin": f"http://{served.host}"}).status == 200


def test_one_origin_may_not_hide_behind_another(served: Served) -> None:
    head = (
        f"GET / HTTP/1.1\r\nHost: {served.host}\r\nOrigin: http://{served.host}\r\nOrigin: http://evil.example\r\n\r\n"
    )
    assert served.raw(head.encode()).status in (400, 403)


@pytest.mark.parametrize("hosts", [[], ["{own}", "evil.example"]])
def test_exactly_one_host_is_expected(served: Served, hosts: list[str]) -> None:
    lines = "".join(f"Host: {host.format(own=served.host)}\r\n" for host in hosts)
    reply = served.raw(f"GET /healthz HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
    assert reply.status == 400
    assert reply.code


def test_a_whole_address_as_target_is_refused(served: Served) -> None:
    reply = served.ask("http://evil.example/api/v1/status")
    assert (reply.status, reply.code) == (400, "bad_target")


@pytest.mark.parametrize(
    "data",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    ],
)
@pytest.mark.parametrize("unix", [False, True])
def test_what_is_not_http_is_a_bad_request(served: Served, data: bytes, unix: bool) -> None:
    reply = served.raw(data, unix=unix)
    assert (reply.status, reply.code) == (400, "bad_request")
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_header_that_is_too_long_is_refused(served: Served) -> None:
    reply = served.ask("/healthz", headers={"Cookie": "x" * 20_000})
    assert (reply.status, reply.code) == (431, "request_header_fields_too_large")


def test_too_many_headers_are_refused(served: Served) -> None:
    reply = served.ask("/healthz", headers={f"X-{i}": "1" for i in range(200)})
    assert reply.status in (400, 431)
    assert reply.code


def test_a_path_that_is_too_long_is_refused(served: Served) -> None:
    reply = served.ask("/" + "x" * 20_000)
    assert reply.status in (414, 431)
    assert reply.code


@pytest.mark.parametrize("unix", [False, True])
def test_an_announced_body_that_is_too_large_is_not_read(served: Served, unix: bool) -> None:
    method = "POST" if unix else "GET"
    headers = {"Content-Length": str(10**9)}
    reply = served.ask("/api/v1/command", method, headers, unix=unix)
    assert (reply.status, reply.code) == (413, "too_large")
    assert served.node.commands == []


def test_a_chunked_body_that_grows_too_large_is_refused(served: Served) -> None:
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    head = b"POST /api/v1/command HTTP/1.1\r\nHost: agentd\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply = served.raw(head + chunk * 4 + b"0\r\n\r\n", unix=True)
    assert (reply.status, reply.code) == (413, "too_large")
    assert served.node.commands == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nothing", 404, "not_found"),
        ("/../../etc/passwd", 404, "not_found"),
        ("/%2e%2e/%2e%2e/etc/passwd", 404, "not_found"),
        ("/dashboard/index.html", 404, "not_found"),
        ("/api/v1/command", 404, "not_found"),
        ("/api/v1/signals/robot.z", 404, "unknown_signal"),
        ("/api/v1/signals/%00", 404, "unknown_signal"),
        ("/api/v1/signals/robot.x?format=xml", 400, "bad_format"),
        ("/api/v1/signals/robot.x?format=raw", 400, "not_an_array"),
        ("/api/v1/signals/robot.camera?format=raw", 404, "absent"),
        ("/api/v1/events?limit=0", 400, "bad_limit"),
        ("/api/v1/events?limit=1e3", 400, "bad_limit"),
        ("/api/v1/events?limit=99999999999999999999", 400, "bad_limit"),
        ("/api/v1/events?after=-1", 400, "bad_after"),
        ("/api/v1/events?kind=party", 400, "bad_kind"),
        ("/events?after=x", 400, "bad_after"),
        ("/api/v1/recent", 400, "bad_signal"),
        ("/api/v1/recent?signal=robot.z", 404, "unknown_signal"),
        ("/api/v1/recent?signal=robot.x&points=0", 400, "bad_points"),
    ],
)
def test_what_cannot_be_answered_says_why(served: Served, path: str, status: int, code: str) -> None:
    reply = served.ask(path)
    assert (reply.status, reply.code) == (status, code)


def test_a_misspelt_signal_names_the_nearest_one(served: Served) -> None:
    assert "'robot.heading'" in served.ask("/api/v1/signals/robot.headng").json["error"]["message"]


def test_an_error_of_our_own_is_contained(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(served.node, "status", broken)
    reply = served.ask("/api/v1/status")
    assert (reply.status, reply.code) == (500, "internal_server_error")
    assert b"secret" not in reply.body
    assert served.ask("/api/v1/signals").status == 200


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/metrics", "/api/v1/signals"])
def test_every_answer_carries_the_security_headers(served: Served, path: str) -> None:
    headers = served.ask(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert not [name for name in headers if name.startswith("access-control")]
    assert "server" not in headers


REQUESTS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda method, path, headers, body: b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method, path, headers, body),
        st.sampled_from([b"GET", b"POST", b"HEAD", b"get", b"G\0T", b"CONNECT"]),
        st.one_of(st.binary(max_size=40), st.sampled_from([b"/", b"*", b"/api/v1/signals/%ff", b"/events?after=%00"])),
        st.lists(
            st.sampled_from(
                [b"Host: HOST\r\n", b"Host: x\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
                 b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Expect: magic\r\n", b"Origin: null\r\n"]
            ),
            max_size=4,
        ).map(b"".join),
        st.binary(max_size=60),
    ),
)  # fmt: skip


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(REQUESTS)
def test_whatever_comes_harms_nothing(served: Served, data: bytes) -> None:
    async def send() -> bytes:
        reader, writer = await served.connect()
        writer.write(data.replace(b"HOST", served.host.encode()) + b"\r\n\r\n")
        try:
            async with asyncio.timeout(0.05):
                return await reader.read(20)
        except (ConnectionError, TimeoutError):  # or it waits for more
            return b""
        finally:
            writer.close()

    answer = served.run(send())
    assert answer == b"" or re.match(rb"HTTP/[01].[019] ([234]\d\d) ", answer), answer
    assert served.node.commands == []
    assert served.ask("/healthz").status == 200


def test_connections_are_limited(served: Served) -> None:
    async def crowd() -> bytes:
        crowd = [await served.connect() for _ in range(100)]
        for _reader, writer in crowd:
            writer.write(b"GET")
        reader, writer = await served.connect()
        try:
            return await reader.read()
        finally:
            for _reader, other in [*crowd, (reader, writer)]:
                other.close()

    answer = served.run(crowd())
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"busy"' in answer
