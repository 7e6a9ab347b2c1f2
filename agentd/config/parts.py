"""One entry of `devices:` or `agents:` to an instance: class, constructor arguments, models.

A constructor does no I/O, so the check may run it; that is how signals that are only known at run time (a model's
outputs) are learnt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agentd import registry
from agentd.config.draft import AgentDraft, DeviceDraft, signal_plan
from agentd.config.models import ModelStore
from agentd.config.plan import AgentPlan, DevicePlan
from agentd.config.schema import Priority, expected, read_value
from agentd.config.tree import Place, Problems, Scalar, Section, Tree, plain, shown
from agentd.registry import Kind, Parameter, PartT, RegistryError
from agents.agent import Agent
from hal.device import Device
from hal.signal import ActuatorDeclaration

AGENT_KEYS = ("agent", "priority")
DEVICE_KEYS = ("driver",)


@dataclass(frozen=True, slots=True)
class _Named:
    """The class behind an entry, with what its constructor takes."""

    name: str
    path: str
    place: Place
    cls: type[Device] | type[Agent]
    parameters: dict[str, Parameter]


@dataclass(slots=True)
class _Arguments:
    """The constructor arguments of one entry. `complete` is False when one is wrong or missing."""

    plain: dict[str, object] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    complete: bool = True


class PartsShop:
    """Makes the parts of one configuration file."""

    def __init__(self, directory: Path, node: str, models: ModelStore, problems: Problems) -> None:
        self._directory = directory
        self._node = node
        self._models = models
        self._problems = problems

    def device(self, draft: DeviceDraft) -> None:
        """Set the draft's device and plan, or report why not."""
        section = draft.section
        named = None if section is None else self._named(registry.DRIVERS, draft.name, draft.place, section)
        if section is None or named is None:
            return
        known = [*DEVICE_KEYS, *_plain_and_models(named)]
        unknown = [key for key in section.entries if key not in known]
        misspelt = frozenset(registry.guess(key, known) for key in unknown)
        arguments = self._arguments(named, draft, section, misspelt)
        for key in unknown:
            self._problems.unknown_key(section.keys[key], draft.name, key, known)
        for parameter in named.parameters.values():
            if parameter.kind != "plain" and parameter.required:
                self._problems.add(draft.place, f"{draft.name}: a driver gets no {parameter.kind} injected")
                arguments.complete = False
        if not arguments.complete:
            return
        plan = DevicePlan(name=draft.name, driver=named.name, path=named.path, arguments=arguments.plain)
        device = self._made(lambda: registry.build_device(plan), draft.name, named)
        if device is not None:
            draft.device = device
            draft.plan = msgspec.structs.replace(
                plan,
                simulated=bool(device.simulated),
                actuates=any(isinstance(d, ActuatorDeclaration) for d in device.signals.values()),
                signals=tuple(signal_plan(draft.name, d) for d in device.signals.values()),
            )

    def agent(self, draft: AgentDraft) -> None:
        """Set the draft's agent, its plan without wiring, and which keys are wiring; or report why not."""
        section = draft.section
        named = None if section is None else self._named(registry.AGENTS, draft.name, draft.place, section)
        if section is None or named is None:
            return
        if (tree := section.get("priority")) is not None:
            priority = read_value(tree, Priority, f"{draft.name}.priority", self._problems)
            draft.priority = priority if isinstance(priority, int) else 0
        known = [*_agent_keys(named), *named.cls.__declarations__]
        misspelt = frozenset(registry.guess(key, known) for key in section.entries if key not in known)
        arguments = self._arguments(named, draft, section, misspelt)
        seed = self._seed(draft.name, section, named)
        if arguments.complete:
            plan = AgentPlan(
                name=draft.name,
                agent=named.name,
                path=named.path,
                arguments=arguments.plain,
                models=arguments.models,
                model_hashes=arguments.hashes,
                seed=seed,
            )
            draft.agent = self._made(lambda: registry.build_agent(plan), draft.name, named)
            draft.plan = plan if draft.agent is not None else None
        self._sort_keys(draft, section, named)

    def _named(self, kind: Kind[PartT], who: str, place: Place, section: Section) -> _Named | None:
        tree = section.get(kind.noun)
        if tree is None:
            others = ", ".join(list(section.entries)[:5])
            hint = registry.nearest(kind.noun, list(section.entries)) or (f"; found {others}" if others else "")
            self._problems.add(place, f"{who}: needs `{kind.noun}: NAME`{hint}")
            return None
        if not isinstance(tree, Scalar) or not isinstance(tree.value, str):
            self._problems.add(tree.place, f"{who}.{kind.noun}: found {shown(tree)}, expected a name")
            return None
        path = str((self._directory / tree.value).resolve()) if tree.value.endswith(".py") else ""
        try:
            cls = registry.find_class(kind, tree.value, path)
            return _Named(tree.value, path, tree.place, cls, registry.parameters(cls))
        except RegistryError as error:
            self._problems.add(tree.place, f"{who}: {error}")
        return None

    def _arguments(
        self, named: _Named, draft: DeviceDraft | AgentDraft, section: Section, misspelt: frozenset[str]
    ) -> _Arguments:
        found, who = _Arguments(), draft.name
        for name, parameter in named.parameters.items():
            tree = section.get(name)
            if tree is None:
                if parameter.required and parameter.kind != "generator":
                    found.complete = False
                    wanted = "a model's name" if parameter.kind == "model" else expected(parameter.hint)
                    if name not in misspelt:
                        self._problems.add(draft.place, f"{who}: {name} is missing; {named.name} expects {wanted}")
            elif parameter.kind == "model":
                self._model(found, name, tree, who)
            elif parameter.kind == "plain":
                self._plain(found, parameter, tree, who)
        return found

    def _plain(self, found: _Arguments, parameter: Parameter, tree: Tree, who: str) -> None:
        value = plain(tree)
        try:
            registry.convert(parameter, value)
        except ValueError:
            self._problems.add(
                tree.place, f"{who}.{parameter.name}: found {shown(tree)}, expected {expected(parameter.hint)}"
            )
            found.complete = False
        except TypeError as error:
            self._problems.add(
                tree.place, f"{who}.{parameter.name}: its type cannot be configured ({error}); change the constructor"
            )
            found.complete = False
        else:
            found.plain[parameter.name] = value

    def _model(self, found: _Arguments, name: str, tree: Tree, who: str) -> None:
        if not isinstance(tree, Scalar) or not isinstance(tree.value, str):
            self._problems.add(tree.place, f"{who}.{name}: found {shown(tree)}, expected a model's name")
            found.complete = False
            return
        model = self._models.find(tree.value, tree.place, f"{who}.{name}")
        if model is None:
            found.complete = False
        else:
            found.models[name], found.hashes[name] = str(model.path), model.sha256

    def _seed(self, who: str, section: Section, named: _Named) -> int:
        """The configured seed, else one that follows from the names: the same file repeats the same run."""
        tree = section.get("seed")
        if tree is not None and "seed" in _agent_keys(named) and "seed" not in named.parameters:
            value = read_value(tree, int, f"{who}.seed", self._problems)
            if isinstance(value, int) and value >= 0:
                return value
            if value is not None:
                self._problems.add(tree.place, f"{who}.seed: found {value}, expected 0 or more")
        return int.from_bytes(hashlib.sha256(f"{self._node}/{who}".encode()).digest()[:4], "big")

    def _made(self, make: Callable[[], PartT], who: str, named: _Named) -> PartT | None:
        try:
            return make()
        except (ValueError, RegistryError) as error:
            self._problems.add(named.place, f"{who}: {error}")
        except Exception as error:  # foreign code: contained, and shown with its own line
            where = registry.failing_line(error, named.path) if named.path else ""
            self._problems.add(
                named.place,
                f"{who}: its constructor raised {where + ' ' if where else ''}{type(error).__name__}: {error}",
            )
        return None

    def _sort_keys(self, draft: AgentDraft, section: Section, named: _Named) -> None:
        """Keys that are wiring, by the instance's declarations; by the class's when there is no instance."""
        own = named.cls.__declarations__ if draft.agent is None else draft.agent.signals
        known = [*_agent_keys(named), *own]
        unknown = [key for key in section.entries if key not in known]
        for key in unknown:
            if draft.agent is not None or registry.guess(key, known):
                self._problems.unknown_key(section.keys[key], draft.name, key, known)
        draft.misspelt = frozenset(registry.guess(key, known) for key in unknown)
        draft.wires = {key: tree for key, _, tree in section if key in own and key not in _agent_keys(named)}


def _plain_and_models(named: _Named) -> list[str]:
    return [name for name, parameter in named.parameters.items() if parameter.kind != "generator"]


def _agent_keys(named: _Named) -> list[str]:
    generator = any(parameter.kind == "generator" for parameter in named.parameters.values())
    return [*AGENT_KEYS, *_plain_and_models(named), *(["seed"] if generator else [])]
