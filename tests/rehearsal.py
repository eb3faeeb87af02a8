"""GitHub's runner for tests: the steps of the composite action with the events that GitHub writes.

Knows the expressions that action.yml uses, and fails on any other.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent

EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")

PATH = re.compile(r"[\w-]+(\.[\w-]+)*")


@dataclass
class Job:
    """One job that uses the action; `steps` tells what each step did."""

    home: Path
    """Of the runner: its temporary files."""
    repository: Path
    event: str
    payload: Mapping[str, Any]
    inputs: Mapping[str, str]
    commands: Path
    """A directory of commands that come first."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the job's environment."""
    patience: float = 60.0
    """Seconds that a step may take."""
    steps: dict[str, str] = field(default_factory=dict)
    """By name: `skipped`, `used` (another action), or the exit code."""
    printed: str = ""

    def __post_init__(self) -> None:
        self.action = yaml.safe_load((ROOT / "action.yml").read_text())
        self.outputs: dict[str, dict[str, str]] = {}
        (self.home / "event.json").write_text(json.dumps(self.payload))
        (self.home / "summary").touch()

    def run(self) -> int:
        """Carry out the steps; the exit code of the first one that fails, 0 if none does."""
        failed = 0
        for step in self.action["runs"]["steps"]:
            name = step["name"]
            if not self.wanted(step.get("if", ""), failed):
                self.steps[name] = "skipped"
            elif "uses" in step:
                self.steps[name] = "used"
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), "pinned by its commit"
            else:
                code = self.carry_out(step)
                self.steps[name] = str(code)
                failed = failed or (0 if step.get("continue-on-error") else code)
        return failed

    def carry_out(self, step: Mapping[str, Any]) -> int:
        output = self.home / "output"
        output.write_text("")
        told = {key: self.resolved(str(text)) for key, text in step.get("env", {}).items()}
        ours = ("VIRTUAL_ENV", "PYTHONPATH")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],  # as GitHub does
            cwd=self.repository / self.resolved(step.get("working-directory", ".")),
            env={
                **{key: value for key, value in os.environ.items() if key not in ours},
                "PATH": f"{self.commands}:{os.environ['PATH']}",
                "GITHUB_EVENT_NAME": self.event, "GITHUB_EVENT_PATH": str(self.home / "event.json"),
                "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(self.home / "summary"),
                "GITHUB_REPOSITORY": "shop/shop", "RUNNER_TEMP": str(self.home), **self.variables, **told,
            },
            capture_output=True, text=True, check=False, timeout=self.patience,
        )  # fmt: skip
        self.printed += done.stdout + done.stderr
        lines = output.read_text().splitlines()
        if "id" in step:
            self.outputs[step["id"]] = dict(line.split("=", 1) for line in lines)
        return done.returncode

    def wanted(self, condition: str, failed: int) -> bool:
        """Whether a step is carried out: after a failure only with always()."""
        terms = [term.strip() for term in condition.split("&&") if term.strip()]
        return (not failed or "always()" in terms) and all(self.true(term) for term in terms)

    def true(self, term: str) -> bool:
        if term == "always()":
            return True
        found = re.fullmatch(r"(\S+) (==|!=) '(.*)'", term)
        if found:
            same = bool(self.value(found[1]) == found[3])
            return same == (found[2] == "==")
        return bool(self.value(term))

    def resolved(self, text: str) -> str:
        return EXPRESSION.sub(lambda found: str(self.value(found[1]) or ""), text)

    def value(self, path: str) -> Any:
        """What a context holds."""
        assert PATH.fullmatch(path), f"unknown expression: {path}"
        match path.split("."):
            case ["inputs", name]:
                return self.inputs.get(name, self.action["inputs"][name]["default"])
            case ["steps", step, "outputs", name]:
                return self.outputs.get(step, {}).get(name, "")
            case ["github", "event", *keys]:
                found: Any = self.payload
                for key in keys:
                    found = found.get(key) if isinstance(found, dict) else None
                return found
            case ["github", "action_path"]:
                return str(ROOT)
            case ["github", "token"]:
                return "a-token"
            case ["runner", name]:
                return {"temp": str(self.home), "os": "Linux", "arch": "X64"}[name]
        raise AssertionError(f"unknown context: {path}")
