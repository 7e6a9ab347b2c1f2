"""Writing: only over the Unix socket, only as a known command, and always with its origin."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from agentd.command import Answer, EmergencyStop, SetParam, Take
from agentd.config.plan import HttpPlan
from agentd.gateway.server import Gateway, GatewayError
from tests.agentd.gateway.fake_node import FakeNode
from tests.agentd.gateway.served import Reply, Served

OWN_ORIGIN = f"uid {os.getuid()} pid {os.getpid()}"


def command(served: Served, body: bytes) -> Reply:
    """Ask for something over the Unix socket."""
    return served.ask("/api/v1/command", "POST", body=body, unix=True)


def test_only_its_owner_may_open_the_socket(served: Served) -> None:
    mode = served.socket_path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_a_command_arrives_with_its_origin(served: Served) -> None:
    reply = command(served, b'{"do": "take", "signal": "robot.speed", "value": 0.5}')
    assert (reply.status, reply.json) == (200, {"ok": True, "message": "done", "problems": []})
    assert served.node.commands == [(Take(signal="robot.speed", value=0.5), OWN_ORIGIN)]


def test_a_refused_command_is_a_conflict(served: Served) -> None:
    served.node.answer = Answer(ok=False, message="steer.kq: no such parameter", problems=("did you mean steer.kp?",))
    reply = command(served, b'{"do": "set_param", "name": "steer.kq", "value": 1}')
    assert (reply.status, reply.json["ok"], reply.json["problems"]) == (409, False, ["did you mean steer.kp?"])
    assert served.node.commands == [(SetParam(name="steer.kq", value=1.0), OWN_ORIGIN)]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `do`"),
        (b'{"do": "explode"}', "Invalid value 'explode'"),
        (b'{"do": "take", "signal": "robot.speed"}', "missing required field `value`"),
        (b'{"do": "take", "signal": "robot.speed", "value": "fast"}', "Expected `float`, got `str`"),
        (b'{"do": "take", "signal": "robot.speed", "value": NaN}', "malformed"),
        (b'{"do": "clear", "target": "\xff"}', ""),
        (b"\x00" * 100, "malformed"),
        (b"[" * 50_000, ""),
    ],
)
def test_what_is_no_command_changes_nothing(served: Served, body: bytes, why: str) -> None:
    reply = command(served, body)
    assert (reply.status, reply.code) == (400, "bad_command")
    assert why in reply.json["error"]["message"]
    assert served.node.commands == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_command_is_posted(served: Served, method: str) -> None:
    reply = served.ask("/api/v1/command", method, unix=True)
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "method_not_allowed", "POST")


def test_everything_that_reads_is_there_too(served: Served) -> None:
    assert served.ask("/api/v1/status", unix=True).json["node"] == "robot-1"


def test_the_status_after_a_command_is_a_new_one(served: Served) -> None:
    assert served.ask("/api/v1/status").json["emergency_stop"] == ""
    served.node.emergency_stop = "somebody"
    command(served, b'{"do": "emergency_stop", "reason": "somebody"}')
    assert served.node.commands[0][0] == EmergencyStop(reason="somebody")
    assert served.ask("/api/v1/status").json["emergency_stop"] == "somebody"


def test_the_socket_of_a_dead_daemon_is_replaced_and_our_own_removed(tmp_path: Path) -> None:
    node = FakeNode(tmp_path / "run")
    path = tmp_path / "agentd.sock"

    async def twice() -> None:
        dead = Gateway(node, HttpPlan(port=0), path)
        await dead.start()
        alive = Gateway(node, HttpPlan(port=0), path)
        await alive.start()
        await dead.stop()
        assert path.exists()
        await alive.stop()

    asyncio.run(twice())
    assert not path.exists()
    node.close()


def test_a_taken_port_is_an_error_that_leaves_nothing_behind(served: Served, tmp_path: Path) -> None:
    async def second() -> None:
        gateway = Gateway(served.node, HttpPlan(port=served.gateway.port), tmp_path / "second.sock")
        with pytest.raises(GatewayError, match=rf"{served.host}.*choose another port with --http"):
            await gateway.start()

    served.run(second())
    assert not (tmp_path / "second.sock").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_nobody_else_can_be_listened_to(served: Served, tmp_path: Path, host: str) -> None:
    with pytest.raises(GatewayError, match="loopback"):
        served.run(Gateway(served.node, HttpPlan(host=host, port=0), tmp_path / "s").start())
