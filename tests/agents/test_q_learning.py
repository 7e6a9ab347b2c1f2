"""What `agent: q_learning` promises of every table, whatever it drives."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.runtime import keyframe
from agents.agent import NoAnswer
from agents.q_learning import QLearning
from hal.signal import Tick

PERIOD_S = 0.05
DECIDE_S = 0.1

wild = st.floats(-10.0, 10.0) | st.sampled_from([math.inf, -math.inf, math.nan, 1e300, -1e300])


class Runner:
    """Steps an agent as a loop does, with rewards from a function of observation and action."""

    def __init__(self, values: list[float] | None = None, seed: int = 1, **params: float) -> None:
        self.agent = QLearning(values or [1.0, 2.0, 3.0], np.random.default_rng(seed), [[0.0]])
        self.agent.cost = 0.0
        self.agent.decide_every_s, self.agent.epsilon_min = DECIDE_S, 0.0
        for name, value in params.items():
            setattr(self.agent, name, value)
        self.tick = Tick(0, 1_000_000_000, PERIOD_S)

    def step(self, seen: float = 1.0, reward: float | None = None, applied: float | None = None) -> float:
        self.tick.number += 1
        self.tick.time_ns += round(PERIOD_S * 1e9)
        self.agent.observation = np.array([seen])
        self.agent.reward, self.agent.applied = reward, applied
        self.agent.step(self.tick)
        return self.agent.action

    def until_decided(self, seen: float = 1.0, reward: float | None = None) -> float:
        before = self.agent.decisions
        while self.agent.decisions == before:
            self.step(seen, reward)
        return self.agent.action


def greedy(agent: QLearning) -> list[float]:
    """What the table prefers in each cell."""
    known = np.where(agent.tried > 0, agent.table, -np.inf)
    return [[1.0, 2.0, 3.0][choice] for choice in known.argmax(axis=1)]


@pytest.mark.parametrize("seed", range(5))
def test_it_learns_which_action_pays_where(seed: int) -> None:
    run = Runner(seed=seed, epsilon_start=0.5, gamma=0.0, trace_decay=0.0)
    action, seen = 1.0, 1.0
    for number in range(2000):
        best = 3.0 if seen > 0 else 2.0
        action = run.step(seen, -abs(action - best))
        if number % 8 == 7:
            seen = -seen
    assert greedy(run.agent) == [2.0, 3.0]


@pytest.mark.parametrize("seed", range(5))
def test_it_learns_what_pays_only_later(seed: int) -> None:
    """Action 2 costs now and leads to the cell where everything pays; action 1 leads away from it."""
    run = Runner([1.0, 2.0], seed, epsilon_start=0.5, epsilon_min=0.2, gamma=0.9, trace_decay=0.0)
    place, action = -1.0, run.until_decided(-1.0)
    for _ in range(3000):
        there = 1.0 if action == 2.0 else -1.0
        action = run.until_decided(there, 10.0 * (place > 0) - (action == 2.0))
        place = there
    assert greedy(run.agent) == [2.0, 2.0]


def test_it_begins_with_the_first_value_everywhere() -> None:
    run = Runner(values=[2.0, 1.0, 3.0], epsilon_start=0.0)
    assert {run.step(seen, reward) for reward in (1.0, -1.0) for seen in (1.0, -1.0) * 50} == {2.0}


def test_the_first_visit_counts_whole_and_later_ones_less() -> None:
    run = Runner(epsilon_start=0.0, gamma=0.0, alpha=0.25, trace_decay=0.0)
    expected = [1.0, 1.5, 2.0, 2.5, 1.875]  # means, from the fourth visit on a quarter of the difference
    run.until_decided()
    for reward, value in zip((1.0, 2.0, 3.0, 4.0, 0.0), expected, strict=True):
        run.until_decided(reward=reward)
        assert run.agent.table[1, 0] == pytest.approx(value * DECIDE_S)


def led_from_one_cell_to_the_other(epsilon: float) -> float:
    """What the cell of one decision learned from the surprise after the next one."""
    run = Runner(epsilon_start=epsilon, epsilon_decay=1.0, gamma=0.5, trace_decay=0.5)
    run.until_decided(-1.0)
    run.until_decided(1.0, 0.0)
    run.until_decided(1.0, 8.0)
    return float(run.agent.table[0].sum())


def test_a_surprise_is_credited_to_what_led_there_but_not_across_a_chance_action() -> None:
    assert led_from_one_cell_to_the_other(0.0) == pytest.approx(8.0 * DECIDE_S * 0.5 * 0.5)
    assert led_from_one_cell_to_the_other(1.0) == 0.0


def test_nothing_is_credited_across_the_end_of_an_attempt() -> None:
    run = Runner(epsilon_start=0.0)
    run.until_decided(-1.0)
    run.agent.terminated = True
    run.step(-1.0, 0.0)
    failed = run.agent.table[0].tolist()
    run.agent.terminated = False
    run.until_decided(1.0)
    run.until_decided(1.0, 50.0)
    assert run.agent.table[0].tolist() == failed


def test_it_decides_at_its_interval_and_holds_in_between() -> None:
    run = Runner(epsilon_start=1.0, epsilon_decay=1.0)
    actions = [run.step() for _ in range(40)]
    assert actions[0::2] == actions[1::2]
    assert len(set(actions)) > 1
    assert run.agent.decisions_total == 20


@pytest.mark.parametrize(("best", "expected"), [(0, {2.0}), (1, {2.0}), (2, {1.0, 3.0})])
def test_chance_takes_a_neighbour_of_the_best_value(best: int, expected: set[float]) -> None:
    run = Runner([1.0, 3.0, 2.0], epsilon_start=1.0, epsilon_decay=1.0, alpha=0.0, gamma=0.0)
    run.step()
    run.agent.tried[:] = 1_000
    run.agent.table[:, best] = 100.0
    run.until_decided()
    assert {run.until_decided() for _ in range(30)} == expected
    assert run.agent.explored


def test_chance_decays_to_its_minimum_and_begins_anew_on_request() -> None:
    run = Runner(epsilon_start=0.5, epsilon_decay=0.9, epsilon_min=0.05)
    seen = [run.until_decided() and run.agent.epsilon for _ in range(100)]
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == pytest.approx(0.45)
    assert seen[-1] == 0.05
    run.agent.params_changed(frozenset({"epsilon_start"}))
    run.step()
    assert run.agent.epsilon >= 0.45


def test_without_learning_the_table_stays_and_nothing_is_left_to_chance() -> None:
    run = Runner(epsilon_start=1.0)
    for _ in range(50):
        run.step(reward=1.0)
    run.agent.learning = False
    run.until_decided()
    before = run.agent.get_state()
    actions = {run.step(reward=5.0) for _ in range(50)}
    after = run.agent.get_state()
    assert len(actions) == 1
    assert run.agent.epsilon == 0.0
    assert before["generator"] == after["generator"]
    assert before["table"].tolist() == after["table"].tolist()


def test_the_same_seed_gives_the_same_actions_and_another_one_others() -> None:
    def actions(seed: int) -> list[float]:
        run = Runner(seed=seed, epsilon_start=0.5)
        return [run.step(math.sin(number), 1.0) for number in range(200)]

    assert actions(1) == actions(1) != actions(2)


@given(cut=st.integers(1, 60), wave=st.floats(0.1, 3.0))
def test_a_restored_agent_goes_on_the_same_through_a_keyframe(cut: int, wave: float) -> None:
    first, second = Runner(epsilon_start=0.5), Runner(seed=9, epsilon_start=0.5)
    for number in range(cut):
        first.step(math.sin(wave * number), 1.0)
    second.tick.time_ns = first.tick.time_ns
    second.agent.set_state(keyframe.decode(keyframe.encode([("pace", first.agent)]))["pace"])
    for number in range(cut, cut + 60):
        assert first.step(math.sin(wave * number), 1.0) == second.step(math.sin(wave * number), 1.0)
    assert keyframe.encode([("pace", first.agent)]) == keyframe.encode([("pace", second.agent)])


def test_a_saved_state_does_not_change_afterwards() -> None:
    run = Runner()
    run.until_decided()
    saved = run.agent.get_state()
    before = saved["tried"].tolist()
    run.until_decided(reward=3.0)
    assert saved["tried"].tolist() == before != run.agent.tried.tolist()


def test_the_state_of_a_table_for_other_values_is_not_taken() -> None:
    first, second = Runner(), Runner(values=[1.0, 2.0, 4.0])
    for _ in range(20):
        first.step()
    second.agent.set_state(first.agent.get_state())
    assert second.agent.table.size == 0


def decided_once(reward: float = 0.0) -> Runner:
    """An agent in the middle of its second decision."""
    run = Runner(epsilon_start=0.0, failure_cost=5.0, alpha=0.1)
    run.until_decided(reward=reward)
    run.until_decided(reward=reward)
    run.agent.tried[:] = 100
    return run


def test_a_terminated_attempt_costs_once_and_waits_at_the_first_value() -> None:
    run = decided_once()
    run.agent.table[1] = [0.0, 1.0, 0.0]
    run.until_decided(reward=0.0)
    assert run.agent.action == 2.0
    before = run.agent.table.sum()
    run.agent.terminated = True
    assert run.step(reward=0.0) == 1.0
    after = run.agent.table.sum()
    assert after < before - 0.1 * 5.0
    assert {run.step(reward=0.0) for _ in range(20)} == {1.0}
    assert run.agent.table.sum() == after
    run.agent.terminated = False
    assert run.step() == 2.0


def test_an_absent_observation_counts_as_failure_and_a_restart_does_not() -> None:
    for away_s, fails in ((0.5, True), (60.0, False)):
        run = decided_once()
        before = run.agent.table.sum()
        run.tick.time_ns += round(away_s * 1e9)
        run.step(reward=0.0)
        assert (run.agent.table.sum() < before) == fails


def test_what_the_guard_overrules_counts_as_failure_once() -> None:
    run = decided_once()
    before = run.agent.table.sum()
    sums = []
    for _ in range(20):
        run.step(reward=0.0, applied=0.0)
        sums.append(run.agent.table.sum())
    assert sums[-1] < before
    assert len(set(sums)) == 2
    decisions = run.agent.decisions
    run.step(applied=1.0)
    assert run.agent.decisions == decisions + 1


def test_a_value_that_is_approached_slowly_is_not_overruled() -> None:
    run = decided_once()
    run.agent.table[1] = [0.0, 0.0, 9.0]
    applied, decisions = 1.0, run.agent.decisions
    for _ in range(30):
        applied += (run.step(applied=applied, reward=0.0) - applied) * 0.05
    assert applied > 2.5
    assert run.agent.decisions == decisions + 15


def test_without_a_reward_the_applied_value_is_what_it_earns() -> None:
    run = Runner(epsilon_start=0.0)
    run.agent.cost, run.agent.tolerance = 10.0, 0.5
    for _ in range(50):
        run.step(0.2, applied=0.9)
    assert run.agent.reward_mean == pytest.approx(0.9)
    for _ in range(20_000):
        run.step(-0.6, applied=0.9)
    assert run.agent.reward_mean == pytest.approx(0.9 - 10.0 * 0.1, abs=0.01)


@given(seen=st.lists(st.tuples(wild, st.none() | wild, st.none() | st.floats(-1e9, 1e9)), max_size=30))
def test_the_action_is_one_of_the_values_and_the_table_finite_whatever_comes_in(
    seen: list[tuple[float, float | None, float | None]],
) -> None:
    run = Runner(epsilon_start=0.5)
    run.agent.cost = 10.0
    for observation, reward, applied in seen:
        try:
            assert run.step(observation, reward, applied) in (1.0, 2.0, 3.0)
        except NoAnswer:
            assert not abs(observation) <= 1e9
    assert np.isfinite(run.agent.table).all()
    assert math.isfinite(run.agent.mean)


def test_values_and_edges_that_make_no_table_are_refused() -> None:
    generator = np.random.default_rng(1)
    for values in ([], [1.0], [1.0, 1.0], [1.0, math.nan]):
        with pytest.raises(ValueError, match="at least two different"):
            QLearning(values, generator)
    with pytest.raises(ValueError, match="ascending"):
        QLearning([1.0, 2.0], generator, [[1.0, 0.0]])


def test_edges_that_do_not_fit_the_observations_are_refused() -> None:
    for agent, count, message in (
        (QLearning([1.0, 2.0], np.random.default_rng(1), [[0.0]]), 2, "one for each of 2"),
        (QLearning([1.0, 2.0], np.random.default_rng(1)), 6, "fewer 'edges'"),
    ):
        agent.observation = np.zeros(count)
        with pytest.raises(ValueError, match=message):
            agent.step(Tick(1, 1, 0.01))


def test_a_step_of_the_largest_table_fits_a_fast_loop() -> None:
    agent = QLearning([1.0, 2.0], np.random.default_rng(1), [[float(x) for x in range(9_999)]])
    agent.decide_every_s = 0.0
    agent.observation = np.array([4.5])
    tick = Tick(0, 0, 0.001)
    taken = []
    for _ in range(200):
        tick.time_ns += 1_000_000
        before = time.thread_time_ns()
        agent.step(tick)
        taken.append(time.thread_time_ns() - before)
    assert sorted(taken)[100] < 1_000_000
