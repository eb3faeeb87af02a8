"""The base of a change, checked out while a run is carried out: a git worktree, and the packages it locks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import overload

from loadtests.errors import PlanError
from loadtests.plan.arms import Arm, Hybrid
from loadtests.plan.base.commit import BaseCommit
from loadtests.plan.base.locks import PYLOCK, UV_LOCK, matches
from loadtests.plan.base.repository import git
from loadtests.plan.plan import Plan
from loadtests.system.scratch import scratch_directory

NEEDED = ("anyio", "uvloop", "httptools")
"""What serves an app beside its server, and must be in its environment, too."""

NO_ENVIRONMENT = "cannot create an environment for the base"

PATIENCE = 900.0
"""Seconds that one command may take."""

PREFIX = "duel-base-"
"""Of the directories that hold a checkout."""

NOTHING: Mapping[str, str] = {}


class BaseCheckout:
    """Where a base is, and the arms that are served from there."""

    def __init__(self, base: BaseCommit, path: Path, arms: frozenset[str]) -> None:
        """`path`: the worktree; `arms`: the names of the base's arms."""
        self.base = base
        self.path = path
        self.arms = arms
        self.pythons: Mapping[str, str] = {}
        """By arm, the interpreter of an environment with the packages that the base locks; without arms that
        are served by the interpreter they name, or by the one running duel."""

    def located(self, arm: Arm) -> Arm:
        """An arm as it is to be served: one of the base from the checkout, any other as it is."""
        if arm.name not in self.arms:
            return arm
        return arm.model_copy(
            update={
                "app_dir": self.there(arm.app_dir),
                "hybrid": self.hybrid(arm),
                "cwd": self.there(arm.cwd) if arm.cwd else self.working_directory(),
                "copied": self.copied(arm),
                "python": self.pythons.get(arm.name, arm.python),
                "env": {**arm.env, **self.variables(arm), **self.import_path(arm)},
            }
        )

    def hybrid(self, arm: Arm) -> Hybrid | None:
        """The second app of an arm that has one, from the checkout as well."""
        second = arm.hybrid
        return second and second.model_copy(update={"app_dir": self.there(second.app_dir)})

    def copied(self, arm: Arm) -> str | None:
        """What the arm's servers get a copy of: the base's, where that has it."""
        there = self.there(arm.copied) if arm.copied is not None else None
        return there if there is not None and Path(there).exists() else arm.copied

    def variables(self, arm: Arm) -> dict[str, str]:
        """The variables that lead into the working tree, such as PWD or a directory of templates, leading to
        the same place in the checkout where there is one."""
        path = re.compile(rf"(?<![\w.-]){re.escape(self.base.repository)}((?:/[^/:;,?\s'\"]+)*)(?![\w.-])")

        def moved(found: re.Match[str]) -> str:
            there = f"{self.path}{found[1]}"
            return there if Path(there).exists() else found[0]

        known = {**os.environ, **arm.env}.items()
        changed = {key: path.sub(moved, value) for key, value in known}
        # Of a repository of settings in the home directory, the packages and caches there are both sides'.
        return {key: changed[key] for key, value in known if changed[key] != value and key != "HOME"}

    def working_directory(self) -> str | None:
        """Our own in the checkout; None where that is not in it."""
        there = self.there(str(Path.cwd()))
        return there if Path(there).is_dir() else None

    def import_path(self, arm: Arm) -> dict[str, str]:
        """PYTHONPATH with the working tree's directories in the checkout, for processes that the server
        starts, too; empty where it is not set."""
        given = arm.env.get("PYTHONPATH", os.environ.get("PYTHONPATH"))
        if not given:
            return {}
        here = [str(Path(arm.cwd or Path.cwd(), one)) for one in given.split(os.pathsep)]
        there = [(one, self.there(one)) for one in here]
        return {"PYTHONPATH": os.pathsep.join(new if Path(new).is_dir() else old for old, new in there)}

    @overload
    def there(self, directory: str) -> str: ...

    @overload
    def there(self, directory: None) -> None: ...

    def there(self, directory: str | None) -> str | None:
        """A directory of the working tree in the checkout; any other is itself."""
        path = self.base.path_of(directory) if directory is not None else None
        return str(self.path / path) if path is not None else directory


@contextmanager
def checked_out(plan: Plan) -> Iterator[BaseCheckout | None]:
    """The checkout of a plan's base as long as the block lasts; None for a plan without one.

    Where the base locks other packages than the working tree, environments are made from its locks, which
    takes minutes. Raises PlanError.
    """
    base = plan.base
    if base is None:
        yield None
        return
    root = Path(base.repository)
    with scratch_directory(prefix=PREFIX) as scratch:
        forget_left_behind(root)
        path = (scratch / "base").resolve()
        try:
            git(root, "worktree", "add", "--detach", "--quiet", str(path), base.commit)
            names = frozenset(plan.against.values())
            checkout = BaseCheckout(base, path, names)
            checkout.pythons = environments(plan.arms, base, path, scratch)
            yield checkout
        finally:
            # What an app has written there may not be ours to delete: the run is complete all the same.
            with suppress(PlanError):
                git(root, "worktree", "remove", "--force", str(path))


def forget_left_behind(root: Path) -> None:
    """Unregister the worktrees of runs that were killed, whose directories are gone."""
    for line in git(root, "worktree", "list", "--porcelain").splitlines():
        path = Path(line.removeprefix("worktree "))
        if line.startswith("worktree ") and path.parent.name.startswith(PREFIX) and not path.exists():
            with suppress(PlanError):
                git(root, "worktree", "remove", "--force", str(path))


def environments(arms: Sequence[Arm], base: BaseCommit, checkout: Path, scratch: Path) -> dict[str, str]:
    """By arm, the interpreter of an environment with its packages; arms with one lock share it. Raises
    PlanError."""
    made: dict[tuple[str, str, str], str] = {}
    found = {}
    for arm in arms:
        lock = base.packages.get(arm.name)
        if lock is not None:
            key = (arm.python or sys.executable, lock, arm.serving.server)
            if key not in made:
                home = scratch / f"environment-{len(made)}"
                limits = [checkout / one for one in base.constraints.get(arm.name, ())]
                made[key] = environment(checkout / lock, home, key[0], arm.serving.server, limits)
            found[arm.name] = made[key]
    return found


def environment(
    lock: Path, home: Path, interpreter: str = sys.executable, server: str = "uvicorn",
    constraints: Sequence[Path] = (),
) -> str:  # fmt: skip
    """The interpreter of a new environment at `home` with the packages of a lock, in versions that the
    constraints allow, and what serves an app there. Raises PlanError."""
    python = home / "bin" / "python"
    failed = "cannot install the base's packages"
    if lock.name == UV_LOCK:
        # Without the app itself, which comes from the checkout.
        sync = ["uv", "sync", "-q", "--frozen", "--no-install-workspace", "--python", interpreter]
        do(sync, failed, lock.parent, {"UV_PROJECT_ENVIRONMENT": str(home)})
        install = ["uv", "pip", "install", "-q", "--python", str(python)]
    elif matches(lock.name, (PYLOCK,)):
        do(["uv", "venv", "-q", "--python", interpreter, str(home)], NO_ENVIRONMENT)
        install = ["uv", "pip", "install", "-q", "--python", str(python)]
        do([*install, "-r", lock.name], failed, lock.parent)
    else:
        do([interpreter, "-m", "venv", str(home)], NO_ENVIRONMENT)
        install = [str(python), "-m", "pip", "install", "-q"]
        # In the lock's directory: pip looks there for the paths in it.
        limits = [word for one in constraints for word in ("-c", str(one))]
        do([*install, "-r", lock.name, *limits], failed, lock.parent)
    command = [str(python), "-c", ABSENT, server, *NEEDED]
    absent = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if absent:
        # Not the others: the base has locked them in versions of its own.
        wanted = [pinned(name) for name in absent]
        do([*install, *wanted], "cannot install what serves the base")
    return str(python)


def pinned(package: str) -> str:
    """In our version, where we have it: a server may be the app's own."""
    try:
        return f"{package}=={version(package)}"
    except PackageNotFoundError:
        return package


ABSENT = (
    "import sys; from importlib.util import find_spec as f; print(*(n for n in sys.argv[1:] if not f(n)))"
)
"""Prints which of the named modules are not installed."""


def do(
    command: Sequence[str], failed: str, cwd: Path | None = None, more: Mapping[str, str] = NOTHING
) -> None:
    """Run a command in `cwd`, or here, with `more` variables; raises PlanError with the end of its output if
    it fails."""
    hint = "create an environment yourself, and pass its interpreter: --base-python PATH"
    try:
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **more}, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PlanError(failed, hint=hint, cause=f"not finished after {PATIENCE:g} s") from None
    except FileNotFoundError:
        raise PlanError(failed, hint=hint, cause=f"{command[0]} is not installed") from None
    if done.returncode:
        raise PlanError(failed, hint=hint, cause=(done.stderr or done.stdout).strip()[-400:])
