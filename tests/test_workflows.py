"""The action and the workflows, checked against GitHub's schemas."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
CHECK = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema"]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def check(schema: str, path: Path) -> None:
    done = subprocess.run([*CHECK, schema, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_follows_githubs_schema() -> None:
    check("vendor.github-actions", ROOT / "action.yml")


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda p: p.name)
def test_workflows_follow_githubs_schema(path: Path) -> None:
    check("vendor.github-workflows", path)


@pytest.mark.parametrize(
    ("opening", "schema"),
    [("name: duel\n", "vendor.github-workflows"), ("duel:\n", "vendor.gitlab-ci")],
    ids=["github", "gitlab"],
)
def test_the_workflows_of_the_docs_are_complete(tmp_path: Path, opening: str, schema: str) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "ci.md").read_text())
    (block,) = [block for block in blocks if block.startswith(opening)]
    path = tmp_path / "workflow.yml"
    path.write_text(block)
    check(schema, path)


def test_the_schema_refuses_an_invalid_action(tmp_path: Path) -> None:
    """Proof that the tests above can fail."""
    path = tmp_path / "action.yml"
    path.write_text((ROOT / "action.yml").read_text().replace("using: composite", "using: magic"))
    done = subprocess.run([*CHECK, "vendor.github-actions", str(path)], capture_output=True, check=False)
    assert done.returncode != 0


def test_workflows_use_only_inputs_of_the_action() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    texts = [
        (ROOT / ".github" / "workflows" / "ci.yml").read_text(),
        BLOCK.findall((ROOT / "docs" / "ci.md").read_text())[0],
    ]
    for text in texts:
        steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
        ours = [step for step in steps if step.get("uses", "").startswith(("./", "fastapi-duel/"))]
        assert len(ours) == 1
        assert set(ours[0]["with"]) <= set(action["inputs"])


def test_no_shell_step_contains_an_expression() -> None:
    """A branch name would be executed there; values are passed through the environment."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    assert scripts
    assert not any("${{" in script for script in scripts)


def test_actions_of_others_are_pinned_by_commit() -> None:
    """A tag can be moved to other code, which would run with the job's token."""
    texts = [path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    texts += [(ROOT / "action.yml").read_text(), (ROOT / "docs" / "ci.md").read_text()]
    used = [line for text in texts for line in re.findall(r"uses: (actions/.*)", text)]
    assert len(used) > 4
    assert [line for line in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
