"""HTTP/1.0 over a Unix socket, against servers that say what the test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentd.ctl import unix_http

Serve = Callable[[bytes], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Answers one request with these bytes, and hangs up; the answer is the socket's path."""
    threads: list[threading.Thread] = []
    path = str(tmp_path / "socket")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(path)
    listening.listen()

    def start(answer: bytes) -> str:
        def once() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        threads.append(threading.Thread(target=once))
        threads[-1].start()
        return path

    yield start
    for thread in threads:
        thread.join(10)
    listening.close()


def test_the_answer_is_what_comes_until_the_end(serve: Serve) -> None:
    path = serve(b"HTTP/1.0 409 Conflict\r\nX: y\r\n\r\n{}")
    assert unix_http.request(path, "GET", "/", timeout_s=5) == (409, b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.0 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"SSH-2.0-x" * 20_000,
    ],
)
def test_what_is_no_whole_answer_is_an_error(serve: Serve, answer: bytes) -> None:
    path = serve(answer)
    with pytest.raises(OSError):
        unix_http.request(path, "GET", "/", timeout_s=5)


def test_a_stream_is_cut_into_lines(serve: Serve) -> None:
    path = serve(b"HTTP/1.0 200 OK\r\n\r\nevent: a\ndata: 1\n\nhalf")
    assert list(unix_http.lines(path, "/events", timeout_s=5)) == [b"event: a", b"data: 1", b""]


def test_a_stream_that_is_refused_is_an_error(serve: Serve) -> None:
    path = serve(b"HTTP/1.0 503 Busy\r\n\r\n")
    with pytest.raises(unix_http.HttpError, match="503"):
        list(unix_http.lines(path, "/events", timeout_s=5))


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen()
        with pytest.raises(TimeoutError):
            unix_http.request(path, "GET", "/", timeout_s=0.05)


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unix_http.request(str(tmp_path / "socket"), "GET", "/", timeout_s=5)
