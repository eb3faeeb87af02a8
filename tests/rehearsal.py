"""The steps of action.yml, carried out as GitHub's runner does: shell steps as they are, with expressions
resolved; actions of others and `gh` by stand-ins that note how they are called."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.commands import PLAIN

ROOT = Path(__file__).parent.parent
EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")
TERM = re.compile(r"([\w.-]+)(?: (==|!=) '([^']*)')?")
GH = """#!/bin/sh
echo "$*" >> {calls}
case "$*" in *" -X PATCH "*|*-F*) {write} ;; *) {read} ;; esac
"""


@dataclass
class Rehearsal:
    """One job that uses our action."""

    repository: Path
    runner: Path
    """What is $RUNNER_TEMP."""
    event: str = "pull_request"
    payload: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    """In sh, in place of `duel run`, whose arguments are `$@`; $out is its --out."""
    gh: Mapping[str, str] = field(default_factory=dict)
    """In sh, what `gh` does to `read` comments and to `write` one."""
    said: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    """Of the step `measure`."""
    failed: list[str] = field(default_factory=list)
    """The names of the steps that failed."""
    ran: list[str] = field(default_factory=list)
    used: dict[str, dict[str, str]] = field(default_factory=dict)
    """By action, what it got."""
    code: int = 0
    """Of the last step that ran."""

    @property
    def summary(self) -> str:
        return (self.runner / "GITHUB_STEP_SUMMARY").read_text()

    @property
    def calls(self) -> list[str]:
        """Those of `gh`."""
        file = self.runner / "gh-calls"
        return file.read_text().splitlines() if file.exists() else []

    def go(self) -> Rehearsal:
        """Carry out all steps."""
        (self.runner / "bin").mkdir(parents=True)
        (self.runner / "event.json").write_text(json.dumps(self.payload))
        self.program("python", f'exec {sys.executable} "$@"')
        calls = {"read": ":", "write": ":", **self.gh, "calls": self.runner / "gh-calls"}
        self.program("gh", GH.format(**calls))
        action = yaml.safe_load((ROOT / "action.yml").read_text())
        given = {key: str(one["default"]) for key, one in action["inputs"].items()} | dict(self.inputs)
        assert given.keys() == action["inputs"].keys()
        known = {f"inputs.{key}": value for key, value in given.items()}
        pull = self.payload.get("pull_request")
        known |= {
            "github.action_path": str(ROOT),
            "github.token": "token",
            "github.event.pull_request": "an object" if pull else "",
            "github.event.pull_request.number": str(pull["number"]) if pull else "",
        }
        for step in action["runs"]["steps"]:
            if not holds(step.get("if", "success()"), known, bool(self.failed)):
                continue
            self.ran.append(step["name"])
            if "uses" in step:
                given = {key: filled(str(value), known) for key, value in step["with"].items()}
                self.used[step["uses"].partition("@")[0]] = given
                if step["name"] == "Restore duel":
                    self.restored(Path(given["path"]))
                continue
            outputs = self.step(step, known)
            if "id" in step:
                known |= {f"steps.{step['id']}.outputs.{key}": value for key, value in outputs.items()}
            if step.get("id") == "measure":
                self.outputs = outputs
        return self

    def restored(self, home: Path) -> None:
        """The environment of duel as an earlier job has cached it, with `run` in place of `duel run`."""
        (home / "bin").mkdir(parents=True)
        (home / "ready").touch()
        self.program(
            str(home / "bin" / "python"),
            f"""if [ "$1 $2 $3 $4" = "-I -m cli run" ]; then
for word in "$@"; do [ "$before" != --out ] || out="$word"; before="$word"; done
{self.run}
fi
exec {sys.executable} "$@"
""",
        )

    def step(self, step: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
        """Run one shell step; its outputs."""
        files = {name: self.runner / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        files["GITHUB_OUTPUT"].write_text("")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("DUEL_", "GITHUB_"))}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],  # as GitHub does
            cwd=self.repository / filled(step.get("working-directory", "."), known),
            capture_output=True, text=True, check=False, timeout=500,
            env={
                **clean, **PLAIN, **{name: str(path) for name, path in files.items()},
                "PATH": f"{self.runner / 'bin'}:{os.environ['PATH']}",
                "RUNNER_TEMP": str(self.runner), "RUNNER_OS": "Linux", "RUNNER_ARCH": "X64",
                "GITHUB_REPOSITORY": "ada/shop", "GITHUB_WORKSPACE": str(self.repository),
                "GITHUB_EVENT_NAME": self.event, "GITHUB_EVENT_PATH": str(self.runner / "event.json"),
                **{key: filled(str(value), known) for key, value in step.get("env", {}).items()},
            },
        )  # fmt: skip
        self.said += done.stdout + done.stderr
        self.code = done.returncode
        if done.returncode:
            self.failed.append(step["name"])
        return dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())

    def program(self, name: str, script: str) -> None:
        """An executable script on the PATH, or anywhere."""
        path = self.runner / "bin" / name
        path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


def filled(text: str, known: Mapping[str, str]) -> str:
    """A text with its expressions resolved."""
    return EXPRESSION.sub(lambda found: value(found[1], known), text)


def value(name: str, known: Mapping[str, str]) -> str:
    """What a context holds; an output that no step has set is empty."""
    if re.fullmatch(r"steps\.(python|measure)\.outputs\.\w+", name):
        return known.get(name, "")
    assert name in known, f"an expression that this rehearsal does not know: {name}"
    return known[name]


def holds(condition: str, known: Mapping[str, str], failed: bool) -> bool:
    """Whether a step runs."""
    functions: Mapping[str, Callable[[], bool]] = {"always()": lambda: True, "success()": lambda: not failed}
    terms = condition.split(" && ")
    if "always()" not in terms:
        terms = ["success()", *terms]
    return all(functions[term]() if term in functions else term_holds(term, known) for term in terms)


def term_holds(term: str, known: Mapping[str, str]) -> bool:
    found = TERM.fullmatch(term)
    assert found is not None, f"a condition that this rehearsal does not know: {term}"
    name, sign, other = found.groups()
    content = value(name, known)
    if sign is None:
        return bool(content)
    return (content == other) is (sign == "==")
