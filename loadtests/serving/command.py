"""The command line of serve.py for an arm, and what its server gets a copy of."""

from __future__ import annotations

import shutil
from pathlib import Path

from loadtests.cpus import cpus_flag
from loadtests.errors import ChildFailed
from loadtests.plan.arms import COPY, Arm
from loadtests.system.processes import ROOT

SERVE = Path(__file__).with_name("inside") / "serve.py"

BESIDE = ("-wal", "-journal")
"""Endings of the files in which SQLite keeps what is not in the database's own file, or must be undone."""


def serve_arguments(arm: Arm, cpus: tuple[int, ...] = (), port: int = 0) -> list[str]:
    """The command line of serve.py for an arm."""
    arguments = [str(SERVE), arm.app, "--app-dir", arm.app_dir or str(ROOT), "--port", str(port)]
    arguments += arm.serving.arguments()
    if arm.hybrid is not None:
        second = arm.hybrid.model_copy(update={"app_dir": arm.hybrid.app_dir or str(ROOT)})
        arguments += ["--hybrid", second.model_dump_json()]
    return [*arguments, *cpus_flag(cpus)]


def variables(arm: Arm, data: Path) -> dict[str, str]:
    """The environment of one server of an arm, and in `data` its copy of what the arm names. Raises
    ChildFailed."""
    if arm.copied is None:
        return dict(arm.env)
    source, copy = Path(arm.copied), data / "copy" / Path(arm.copied).name
    try:
        copy.parent.mkdir()
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True)
        else:
            shutil.copyfile(source, copy)
            for ending in BESIDE:
                beside = source.with_name(source.name + ending)
                if beside.is_file():
                    shutil.copyfile(beside, copy.with_name(copy.name + ending))
    except OSError as error:
        raise ChildFailed(
            f"arm {arm.name!r}: {source} cannot be copied", cause=error.strerror or str(error)
        ) from None
    return {"DUEL_COPY": str(copy), **{key: text.replace(COPY, str(copy)) for key, text in arm.env.items()}}
