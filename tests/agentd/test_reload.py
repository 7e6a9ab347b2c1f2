"""A changed configuration: what did not change keeps ticking, numbers arrive, everything else is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agentd.command import Answer, Clear
from agentd.commands import CommandDesk
from agentd.config.plan import AgentPlan, HttpPlan, InputPlan, LoopPlan, NodePlan
from agentd.event import Event
from agentd.loops import Loops
from agentd.reload import apply, changed_numbers, numbers
from agentd.runtime.letters import Down, SetNumber
from agentd.supervisor import LoopSupervisor


def steer(kp: float = 4.0, setpoint: float = 0.0) -> AgentPlan:
    return AgentPlan(
        name="steer",
        agent="pid",
        params={"kp": kp, "active": True},
        inputs=(InputPlan(attribute="setpoint", constant=setpoint), InputPlan(attribute="measured", signals=("r.x",))),
    )


def loop(name: str = "drive", hash_: str = "h", agent: AgentPlan | None = None) -> LoopPlan:
    return LoopPlan(name=name, node="robot-1", rate_hz=100.0, agents=(agent or steer(),), hash=hash_)


def node(*loops: LoopPlan, name: str = "robot-1") -> NodePlan:
    return NodePlan(node=name, source="/etc/agentd/node.yaml", loops=loops)


class Supervised(LoopSupervisor):
    """A loop without a process: it takes letters, or refuses them."""

    def __init__(self, plan: LoopPlan) -> None:
        super().__init__(plan, 0, None)  # type: ignore[arg-type]
        self.refusal = ""
        self.state = "running"

    async def ask(self, letter_of: Callable[[int], Down]) -> str:
        letter = letter_of(1)
        await asyncio.sleep(0)
        if isinstance(letter, SetNumber) and not self.refusal:
            site.told.append(f"{letter.name}={letter.value:g}")
        return self.refusal

    async def clear(self) -> None:
        site.told.append(f"clear {self.plan.name}")


class Site(Loops):
    """Loops that note what is done with them and start no process."""

    def __init__(self, folder: Path, plan: NodePlan) -> None:
        self.told: list[str] = []
        self.events: list[Event] = []
        super().__init__(plan, folder, folder, self.events.append, lambda _loop: None)
        for entry in plan.loops:
            self.add(entry)
        self.told.clear()

    def add(self, plan: LoopPlan) -> None:
        self.told.append(f"add {plan.name}")
        self.by_name[plan.name] = Supervised(plan)

    async def remove(self, name: str) -> None:
        await asyncio.sleep(0)
        self.told.append(f"remove {name}")
        del self.by_name[name]

    def apply(self, plan: NodePlan) -> Answer:
        return asyncio.run(apply(self, plan))


site: Site


def drive_of(site: Site) -> Supervised:
    drive = site.by_name["drive"]
    assert isinstance(drive, Supervised)
    return drive


@pytest.fixture(autouse=True)
def make_site(tmp_path: Path) -> None:
    global site  # noqa: PLW0603 - the supervisors of a test tell its one site
    site = Site(tmp_path, node(loop("drive"), loop("slow")))


def test_an_equal_plan_changes_nothing() -> None:
    answer = site.apply(node(loop("drive"), loop("slow")))
    assert (answer, site.told) == (Answer(ok=True, message="nothing had changed"), [])


def test_changed_numbers_go_through_the_mailbox_and_the_loop_keeps_ticking() -> None:
    before = site.by_name["drive"]
    answer = site.apply(node(loop("drive", agent=steer(kp=5.0, setpoint=0.1)), loop("slow")))
    assert (answer.ok, site.told) == (True, ["steer.kp=5", "steer.setpoint=0.1"])
    assert site.by_name["drive"] is before
    assert before.numbers == {"steer.kp": 5.0, "steer.setpoint": 0.1}


def test_a_loop_of_another_hash_is_replaced_and_all_stop_before_any_starts() -> None:
    answer = site.apply(node(loop("drive", "new"), loop("slow", "new"), loop("third")))
    assert site.told == ["remove drive", "remove slow", "add drive", "add slow", "add third"]
    assert answer.message == "drive replaced; slow replaced; third added"


def test_a_loop_that_is_gone_is_stopped_first() -> None:
    site.apply(node(loop("drive", "new")))
    assert site.told == ["remove slow", "remove drive", "add drive"]
    assert list(site.by_name) == ["drive"]


def test_node_and_address_need_a_restart_and_nothing_is_changed() -> None:
    plan = node(loop("drive", "new"))
    for other in (
        msgspec.structs.replace(plan, node="robot-2"),
        msgspec.structs.replace(plan, http=HttpPlan(port=9)),
    ):
        answer = site.apply(other)
        assert not answer.ok
        assert "restart" in answer.message
    assert (site.told, len(site.plan.loops)) == ([], 2)


def test_a_refused_number_is_a_problem_and_the_rest_is_applied() -> None:
    drive_of(site).refusal = "steer.kp = 5: no"
    answer = site.apply(node(loop("drive", agent=steer(kp=5.0)), loop("slow", "new")))
    assert (answer.ok, answer.problems) == (False, ("steer.kp = 5: no",))
    assert site.told == ["remove slow", "add slow"]


def test_a_number_that_changed_while_its_loop_was_down_is_the_files_from_the_next_start() -> None:
    drive = drive_of(site)
    drive.state, drive.refusal, drive.numbers["steer.kp"] = "backing off", "loop drive does not run", 9.0
    answer = site.apply(node(loop("drive", agent=steer(kp=5.0)), loop("slow")))
    assert (answer.ok, answer.message) == (True, "steer.kp = 5 when drive starts again")
    assert drive.numbers == {}, "an earlier 'set' no longer hides it"
    assert drive.plan.agents[0].params["kp"] == 5.0


def test_two_reloads_at_once_take_their_turns() -> None:
    async def both() -> None:
        await asyncio.gather(
            apply(site, node(loop("drive", "a"), loop("slow", "a"))),
            apply(site, node(loop("drive", "b"), loop("slow", "b"))),
        )

    asyncio.run(both())
    once = ["remove drive", "remove slow", "add drive", "add slow"]
    assert site.told == once + once
    assert {entry.hash for entry in site.plan.loops} == {"b"}


def test_a_loop_that_is_replaced_while_it_shall_be_cleared_is_not_started_twice() -> None:
    site.by_name["drive"].state = "latched"

    async def both() -> Answer:
        desk = CommandDesk(site, site.events.append, lambda: apply(site, node()))
        reload = apply(site, node(loop("drive", "new"), loop("slow")))
        return (await asyncio.gather(reload, desk.carry_out(Clear(target="drive"), "ann")))[1]

    cleared = asyncio.run(both())
    assert (cleared.ok, "replaced meanwhile" in cleared.message) == (False, True)
    assert "clear drive" not in site.told


def test_numbers_are_every_parameter_and_constant() -> None:
    assert numbers(loop()) == {"steer.kp": 4.0, "steer.active": 1.0, "steer.setpoint": 0.0}
    assert changed_numbers(loop(), loop(agent=steer(setpoint=-0.5))) == {"steer.setpoint": -0.5}
