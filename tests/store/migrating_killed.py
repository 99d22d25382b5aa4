"""Migrations that are killed after one statement, after two, …, until one comes to its end: `python migrating_killed.py URL`.

Each is a process of its own, forked before anything is opened. Prints how many were killed.
"""

from __future__ import annotations

import os
import signal
import sys

from hub.store import failpoint, migrating


def main(url: str) -> None:
    for statements in range(1, 500):
        life = os.fork()
        if life == 0:
            os.environ[failpoint.VARIABLE] = f"inside-migration:{statements}"
            migrating.upgrade(url)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(life, 0)[1])
        if code == 0:
            print(statements - 1)
            return
        if code != -signal.SIGKILL:
            raise RuntimeError(f"a migration that followed {statements - 1} killed ones ended with {code}")
    raise RuntimeError("the migrations never finish")


if __name__ == "__main__":
    main(sys.argv[1])
