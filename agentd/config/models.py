"""Models that a configuration names: found, compared with their manifest, and tried in a child process.

A damaged model can crash the interpreter that loads it, so each model is loaded for the first time in a process of
its own (`hal.accelerators.check`). That takes longer than all other checks together: a model that was found sound is
remembered by its hash, its manifest's, and the versions of what runs it.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

from agentd.config.tree import Place, Problems
from agentd.registry import nearest
from hal.accelerators.check import check_in_child
from hal.model import SHIPPED, SUFFIX, Model, ModelError, find_model

CHECK_TIMEOUT_S = 10.0
_RUNTIMES = ("ai-edge-litert", "tflite-runtime", "numpy")


class ModelStore:
    """The models that one configuration can name, and those that it did."""

    def __init__(self, directory: Path, problems: Problems) -> None:
        self._directory = directory
        self._problems = problems
        self._used: dict[Path, tuple[Model, Place, str]] = {}

    def find(self, name: str, place: Place, who: str) -> Model | None:
        """The model of that name, or None after reporting what is wrong with it."""
        try:
            path = find_model(name, self._directory)
        except ModelError as error:
            known = [file.stem for folder in self._folders() for file in folder.glob(f"*{SUFFIX}")]
            self._problems.add(place, f"{who}: {error}{nearest(name, known)}")
            return None
        try:
            model = Model(path)
            model.verify()
        except ModelError as error:
            self._problems.add(place, f"{who}: {error}")
            return None
        self._used.setdefault(path, (model, place, who))
        return model

    def check_all(self) -> None:
        """Load every model that was found, unless it was sound before. Late: it costs more than everything else."""
        for model, place, who in self._used.values():
            mark = _cache_dir() / "sound-models" / _identity(model)
            if mark.exists():
                continue
            reason = check_in_child(model.path, CHECK_TIMEOUT_S)
            if reason is None:
                _remember(mark)
            else:
                self._problems.add(place, f"{who}: {reason}")

    def _folders(self) -> list[Path]:
        return [self._directory / "models", self._directory, SHIPPED]


def _identity(model: Model) -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow, and only models need it

    parts = [model.sha256, hashlib.sha256(model.path.with_suffix(".json").read_bytes()).hexdigest()]
    for name in _RUNTIMES:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return hashlib.sha256("\n".join([*parts, platform.machine()]).encode()).hexdigest()


def _cache_dir() -> Path:
    """`$CACHE_DIRECTORY` (systemd), else `$XDG_CACHE_HOME/agentd`, else `~/.cache/agentd`."""
    systemd = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    if systemd:
        return Path(systemd)
    found = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(found) if found else Path("~/.cache").expanduser()) / "agentd"


def _remember(mark: Path) -> None:
    try:
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.touch(mode=0o600)
    except OSError:
        return  # a read-only home costs time at the next start, nothing else
