"""The three packages lie side by side and have one owner, or the check says whose they are."""

from __future__ import annotations

from pathlib import Path

from agentd.config.installation import installation_problems


def install(folder: Path, distribution: str, *packages: str) -> None:
    """A distribution as an installer leaves it."""
    record = folder / f"{distribution}-1.0.dist-info" / "RECORD"
    record.parent.mkdir(parents=True)
    record.write_text("".join(f"{package}/__init__.py,sha256=x,1\n" for package in packages))
    for package in packages:
        (folder / package).mkdir(exist_ok=True)
        (folder / package / "__init__.py").touch()


def test_this_installation_is_good() -> None:
    assert installation_problems() == []


def test_one_distribution_with_all_three_is_good(tmp_path: Path) -> None:
    install(tmp_path, "agentd_node", "agentd", "hal", "agents")
    assert installation_problems([str(tmp_path)]) == []


def test_another_distribution_that_brings_agents_is_named(tmp_path: Path) -> None:
    install(tmp_path, "agentd_node", "agentd", "hal", "agents")
    install(tmp_path, "openai_agents", "agents")
    (problem,) = installation_problems([str(tmp_path)])
    assert "package 'agents' belongs to agentd-node and openai-agents" in problem
    assert "uninstall openai-agents" in problem


def test_a_distribution_called_agentd_is_not_ours(tmp_path: Path) -> None:
    install(tmp_path, "agentd", "agentd", "hal", "agents")
    assert len(installation_problems([str(tmp_path)])) == 3


def test_packages_that_lie_apart_are_told_with_their_places(tmp_path: Path) -> None:
    install(tmp_path / "site", "agentd_node", "agentd", "hal", "agents")
    (tmp_path / "work" / "agents").mkdir(parents=True)
    (tmp_path / "work" / "agents" / "__init__.py").touch()
    (problem,) = installation_problems([str(tmp_path / "work"), str(tmp_path / "site")])
    assert f"agents in {tmp_path / 'work'}" in problem and "python -P -m agentd" in problem


def test_a_missing_package_is_told(tmp_path: Path) -> None:
    install(tmp_path, "agentd_node", "agentd", "hal")
    (problem,) = installation_problems([str(tmp_path)])
    assert "agents is missing" in problem
