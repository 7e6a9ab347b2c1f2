"""Tabular Q-learning with eligibility traces: picks one of a few values, and gets better at it.

Every `decide_every_s` the observation's cell in the table gives the value that promised most there, or, with
probability `epsilon`, its neighbour that was tried least: never a leap to the other end. What is earned until the next
decision is what the table learns from: Watkins's Q(lambda) with replacing traces (C. Watkins 1989; R. Sutton,
A. Barto, Reinforcement Learning, 2nd edition, section 12.10), an entry's first visits averaged. Where nothing was
tried yet it takes the first of `values`: list the most careful one first.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.agent import Agent, Applied, Input, NoAnswer, Output, Param, State
from hal.signal import ANY_UNIT, Tick

DEFAULT_EDGES = [-0.4, -0.1, -0.03, 0.03, 0.1, 0.4]
"""Cells of every observation when there are no `edges`: finer near 0, for offsets in m and angles in rad alike."""

MAX_ENTRIES = 20_000
"""A decision touches every entry: 20,000 take 0.1 ms."""

LARGEST = 1e9
"""Observations and rewards beyond this are no measurements."""

GAP = 1.5
"""Periods without a step that count as an interruption: ticks jitter by less."""

RESTART_S = 5.0
"""After a longer interruption nobody knows what the last decision led to."""

MEAN_S = 60.0


class QLearning(Agent):
    """Chooses `action` among `values` by what it has learned of this observation.

    The reward, per second, is the input `reward`; where that is not wired, the value that was applied (progress, for
    a speed). In either case `cost` times what |observation[0]| exceeds `tolerance` by is taken off.

    An attempt fails when `terminated` says so, when the guard overrules the action, and when an observation was absent
    for a while. It then stays at the first value until the guard follows that.
    """

    observation: NDArray[np.float64] = Input(unit=ANY_UNIT, shape=(-1,), doc="the first is what must stay near 0")
    reward: float | None = Input(unit=ANY_UNIT, doc="earned per second")
    terminated: bool | None = Input(doc="the attempt has failed")
    action: float = Output(unit=ANY_UNIT)
    value: float = Output(doc="what the table expects of this action from here on")
    reward_mean: float = Output(doc="per second, mean of about a minute")
    epsilon: float = Output(low=0.0, high=1.0, doc="probability of a chance action")
    explored: bool = Output(doc="this action is a chance one")
    decisions_total: int = Output(low=0)
    applied: float | None = Applied("action", unit=ANY_UNIT)

    learning: bool = Param(True, doc="off: the table stays as it is, and nothing is left to chance")
    decide_every_s: float = Param(0.12, unit="s", low=0.0, high=3600.0)
    alpha: float = Param(0.2, low=0.0, high=1.0, doc="least learning rate; an entry's first visits have a higher one")
    gamma: float = Param(0.83, low=0.0, high=0.9999, doc="worth of a reward one decision later")
    trace_decay: float = Param(0.8, low=0.0, high=1.0, doc="lambda: how far back a surprise is credited")
    epsilon_start: float = Param(0.07, low=0.0, high=1.0, doc="a change begins exploration anew")
    epsilon_decay: float = Param(0.999, low=0.0, high=1.0, doc="factor per decision")
    epsilon_min: float = Param(0.005, low=0.0, high=1.0)
    tolerance: float = Param(0.03, unit=ANY_UNIT, low=0.0, high=LARGEST)
    cost: float = Param(15.0, low=0.0, high=LARGEST)
    failure_cost: float = Param(2.0, low=0.0, high=LARGEST, doc="taken off once when an attempt fails")

    table: NDArray[np.float64] = State(shape=(-1, -1), doc="expected reward by cell and action")
    trace: NDArray[np.float64] = State(shape=(-1, -1))
    tried: NDArray[np.int64] = State(shape=(-1, -1), doc="how often each action was taken in each cell")
    chance: float | None = State(doc="epsilon; None before the first decision")
    cell: int = State(-1, doc="of the last decision; -1 between attempts")
    choice: int = State(0)
    by_chance: bool = State(False)
    distance: float = State(0.0, doc="between action and applied value when it was decided")
    earned: float = State(0.0)
    elapsed_s: float = State(0.0)
    mean: float = State(0.0)
    decisions: int = State(0)
    stepped_ns: int = State(0)

    def __init__(
        self, values: list[float], generator: np.random.Generator, edges: list[list[float]] | None = None
    ) -> None:
        """`edges` are the borders between cells, ascending, a list for each observation. Raises ValueError."""
        if len(set(values)) < 2 or not all(abs(value) <= LARGEST for value in values):
            raise ValueError(f"values {values}: expected at least two different numbers, the most careful one first")
        for borders in edges or []:
            if not all(a < b for a, b in pairwise(borders)):
                raise ValueError(f"edges {borders}: expected ascending numbers")
        self._values, self._generator, self._edges = values, generator, edges
        order = sorted(range(len(values)), key=values.__getitem__)
        self._neighbours = {a: [*order[max(at - 1, 0) : at], *order[at + 1 : at + 2]] for at, a in enumerate(order)}
        self._near = 0.5 * min(b - a for a, b in pairwise(sorted(set(values))))
        self._clear(0)

    def step(self, tick: Tick) -> None:
        """Raises NoAnswer for an observation that is no number, ValueError when `edges` do not fit it."""
        seen = self.observation.tolist()
        if not all(abs(x) <= LARGEST for x in seen):
            raise NoAnswer(f"observation {seen}: expected finite numbers")
        cell = self._cell_of(seen)
        self._account(seen[0], tick.dt_s)
        away_s = abs(tick.time_ns - self.stepped_ns) / 1e9
        if self.cell >= 0 and (self.terminated or away_s > GAP * tick.dt_s or self._overruled()):
            self._end(failed=away_s < RESTART_S + tick.dt_s)
        elif self.cell >= 0 and self.elapsed_s >= self.decide_every_s:
            self._learn(self.earned + self.gamma * self.table[cell, self._best(cell)])
            self._decide(cell)
        elif self.cell < 0 and not self.terminated and self._distance() <= self._near:
            self._decide(cell)
        self.stepped_ns = tick.time_ns
        self._show()

    def params_changed(self, names: frozenset[str]) -> None:
        """A new `epsilon_start` begins exploration anew."""
        if "epsilon_start" in names:
            self.chance = None

    def get_state(self) -> dict[str, Any]:
        """The declared state, the generator's, and what the table means. Arrays are copies."""
        state = super().get_state()
        state.update({name: state[name].copy() for name in ("table", "trace", "tried")})
        return {**state, "generator": self._generator.bit_generator.state, "meaning": self._meaning()}

    def set_state(self, state: dict[str, Any]) -> None:
        """As `Agent.set_state`; the state of a table with other values or edges is ignored."""
        if state.get("meaning") == self._meaning():
            super().set_state(state)
            self._generator.bit_generator.state = state["generator"]

    def _meaning(self) -> list[list[float]]:
        return [self._values, *(self._edges or [DEFAULT_EDGES])]

    def _clear(self, cells: int) -> None:
        shape = (cells, len(self._values))
        self.table, self.trace, self.tried = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int64)

    def _cell_of(self, seen: list[float]) -> int:
        """Row of the table; the first call lays it out."""
        edges = self._edges or [DEFAULT_EDGES] * len(seen)
        if len(edges) != len(seen):
            raise ValueError(f"edges: found {len(edges)} lists, expected one for each of {len(seen)} observations")
        cells = math.prod(len(borders) + 1 for borders in edges)
        if len(self.table) != cells:
            if cells * len(self._values) > MAX_ENTRIES:
                raise ValueError(
                    f"a table of {cells} cells, expected {MAX_ENTRIES} entries at most; give fewer 'edges'"
                )
            self._clear(cells)
            self.cell = -1
        row = 0
        for x, borders in zip(seen, edges, strict=True):
            row = row * (len(borders) + 1) + bisect_right(borders, x)
        return row

    def _account(self, error: float, dt_s: float) -> None:
        """What the time since the last tick has brought."""
        known = (self.reward, self.applied, self._values[self.choice])
        rate = next(x for x in known if x is not None and abs(x) <= LARGEST)
        self.earned += dt_s * (rate - self.cost * max(0.0, abs(error) - self.tolerance))
        self.elapsed_s += dt_s

    def _distance(self) -> float:
        """Between what was asked for and what was applied."""
        return 0.0 if self.applied is None else abs(self.applied - self._values[self.choice])

    def _overruled(self) -> bool:
        """The guard has not even come nearer to the action since it was decided: it does something else."""
        distance = self._distance()
        return self.elapsed_s >= self.decide_every_s and distance > self._near and distance >= self.distance

    def _best(self, cell: int) -> int:
        """The action that promised most of those that were tried; the first where none was."""
        promised = np.where(self.tried[cell] > 0, self.table[cell], -np.inf)
        return int(promised.argmax())

    def _decide(self, cell: int) -> None:
        """Choose by the table, or its least tried neighbour by chance, which ends the credit of what led here."""
        epsilon = self.epsilon_start if self.chance is None else self.chance
        self.cell, self.choice, self.by_chance = cell, self._best(cell), False
        if self.learning:
            if self._generator.random() < epsilon:
                self.choice = min(self._neighbours[self.choice], key=self.tried[cell].__getitem__)
                self.by_chance = True
                self.trace[:] = 0.0
            self.chance = max(self.epsilon_min, epsilon * self.epsilon_decay)
        self.decisions += 1
        self.earned = self.elapsed_s = 0.0
        self.distance = self._distance()

    def _learn(self, target: float) -> None:
        """The last decision turned out to be worth `target`."""
        share = min(1.0, max(self.elapsed_s / MEAN_S, 1.0 / max(self.decisions, 1)))
        self.mean += share * (self.earned / max(self.elapsed_s, 1e-9) - self.mean)
        if not self.learning:
            return
        self.trace[self.cell] = 0.0
        self.trace[self.cell, self.choice] = 1.0
        self.tried[self.cell, self.choice] += 1
        rates = np.maximum(self.alpha, 1.0 / np.maximum(self.tried, 1))
        self.table += (target - self.table[self.cell, self.choice]) * rates * self.trace
        self.trace *= self.gamma * self.trace_decay

    def _end(self, failed: bool) -> None:
        """The attempt is over."""
        if failed:
            self._learn(self.earned - self.failure_cost)
        self.trace[:] = 0.0
        self.cell, self.choice, self.by_chance = -1, 0, False

    def _show(self) -> None:
        self.action = self._values[self.choice]
        self.value = float(self.table[self.cell, self.choice]) if self.cell >= 0 else 0.0
        self.reward_mean = self.mean
        self.epsilon = (self.epsilon_start if self.chance is None else self.chance) if self.learning else 0.0
        self.explored, self.decisions_total = self.by_chance, self.decisions
