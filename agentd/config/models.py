"""Model files by name: beside the configuration, then in `agents/models/`; hashed, and tried in a child process.

A damaged model can crash the interpreter that loads it, so the first load of each model happens in a process of its
own. A model that was found sound is remembered by its hash, because that load takes longer than all other checks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import agents
from agentd.config.tree import Place, Problems
from agentd.registry import nearest
from hal.signal import NODE_NAME

SUFFIX = ".tflite"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model file that exists."""

    name: str
    path: Path
    sha256: str


class ModelStore:
    """The models that one configuration can name, and those that it did."""

    def __init__(self, directory: Path, problems: Problems) -> None:
        self._folders = [directory / "models", directory, *(Path(p) / "models" for p in agents.__path__)]
        self._problems = problems
        self._used: dict[str, tuple[FoundModel, Place, str]] = {}

    def find(self, name: str, place: Place, who: str) -> FoundModel | None:
        """The model of that name, or None after reporting what is known instead."""
        path = self._path(name)
        if path is None:
            hint = nearest(name, self._known()) or "; known: " + (", ".join(self._known()) or "none")
            self._problems.add(place, f"{who}: there is no model {name!r}{hint}")
            return None
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            self._problems.add(place, f"{who}: model {path.name} cannot be read: {error.strerror}")
            return None
        found = FoundModel(name, path, digest)
        self._used.setdefault(digest, (found, place, who))
        return found

    def check_all(self) -> None:
        """Load every model that was found, once, in a child process. Late: it costs more than everything else."""

    def _path(self, name: str) -> Path | None:
        if not NODE_NAME.fullmatch(name):
            return None
        paths = (folder / f"{name}{SUFFIX}" for folder in self._folders)
        return next((path.resolve() for path in paths if path.is_file()), None)

    def _known(self) -> list[str]:
        return sorted({path.stem for folder in self._folders for path in folder.glob(f"*{SUFFIX}")})
