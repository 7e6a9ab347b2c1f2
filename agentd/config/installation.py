"""Whether the installed code is ours: `agentd`, `hal` and `agents` side by side, each owned by one distribution.

`hal` and `agents` are generic names: installing openai-agents, say, beside agentd-node overwrites `agents/` in
silence. Nothing is imported here, and nothing but `RECORD` files is read.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable
from pathlib import Path

PACKAGES = ("agentd", "hal", "agents")
DISTRIBUTION = "agentd-node"


def installation_problems(path: Iterable[str] | None = None) -> list[str]:
    """What is wrong, one message each; empty when all is well. `path` is what to search instead of `sys.path`."""
    folders = [Path(entry) for entry in dict.fromkeys(sys.path if path is None else path) if entry]
    problems = _apart(folders if path is not None else None)
    for package in PACKAGES:
        owners = sorted({owner for folder in folders for owner in _owners(folder, package)})
        others = [owner for owner in owners if owner != DISTRIBUTION]
        if others:
            problems.append(
                f"installation: package {package!r} belongs to {' and '.join(owners)}, expected {DISTRIBUTION} alone; "
                f"uninstall {', '.join(others)}, then reinstall {DISTRIBUTION}, or use a virtual environment of its own"
            )
    return problems


def _apart(folders: list[Path] | None) -> list[str]:
    places = {package: _place(package, folders) for package in PACKAGES}
    missing = [package for package, place in places.items() if place is None]
    if missing:
        return [f"installation: package {', '.join(missing)} is missing; reinstall {DISTRIBUTION}"]
    home = places["agentd"]
    strangers = [f"{package} in {place}" for package, place in places.items() if place != home]
    if not strangers:
        return []
    return [
        f"installation: agentd lies in {home}, but {' and '.join(strangers)}; expected them side by side: start "
        f"`python -P -m agentd`, and use a virtual environment of its own"
    ]


def _place(package: str, folders: list[Path] | None) -> Path | None:
    """The folder that holds the package that would be imported, without importing it."""
    if folders is not None:
        return next((folder for folder in folders if (folder / package / "__init__.py").is_file()), None)
    loaded = sys.modules.get(package)
    spec = loaded.__spec__ if loaded is not None else importlib.util.find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve().parents[1]


def _owners(folder: Path, package: str) -> list[str]:
    claim = f"{package}/__init__.py,".encode()
    owners = []
    for record in folder.glob("*.dist-info/RECORD"):
        try:
            data = record.read_bytes()
        except OSError:
            continue
        if data.startswith(claim) or b"\n" + claim in data:
            name = record.parent.name.removesuffix(".dist-info").rpartition("-")[0]
            owners.append(re.sub(r"[-_.]+", "-", name).lower())
    return owners
