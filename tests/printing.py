"""`duel` with streams that fail, for several cases: `python -P tests/printing.py DIRECTORY`.

Reads a JSON list from stdin, one object per process: the `arguments` of `duel`, and for `stdout` and `stderr`
what they are: `full`, `closed` (the other end of a pipe), `missing`, or the encoding of a file in DIRECTORY,
to which it is appended.
Prints the exit codes. The processes are forked, so that the imports are made once for all of them.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import cli

LATER = ("reports.render.report_directory", "reports.render.terminal", "reports.render.output")


def descriptor(kind: str, file: Path) -> int:
    if kind == "full":
        return os.open("/dev/full", os.O_WRONLY)
    if kind == "closed":
        read, write = os.pipe()
        os.close(read)
        return write
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def redirect(number: int, name: str, kind: str) -> None:
    """What Python does at its start with a stream of this kind."""
    if kind == "missing":
        os.close(number)
        setattr(sys, name, None)
        return
    found = descriptor(kind, Path(sys.argv[1], name))
    os.dup2(found, number)
    os.close(found)
    encoding = "utf-8" if kind in ("full", "closed") else kind
    errors = "strict" if name == "stdout" else "backslashreplace"
    setattr(sys, name, open(number, "w", encoding=encoding, errors=errors))  # noqa: SIM115  # the stream


def carry_out(case: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        for number, name in ((1, "stdout"), (2, "stderr")):
            redirect(number, name, case[name])
        sys.argv[1:] = case["arguments"]
        cli.main()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    for module in LATER:
        import_module(module)
    import_module(LATER[0]).__dict__["charts"] = lambda _: ()
    print(json.dumps([carry_out(case) for case in json.load(sys.stdin)]))
