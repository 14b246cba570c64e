"""Leaving a process while a thread still works takes no longer than leaving an idle one."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from tapeline.runners.unawaited import Unawaited

_PROGRAM = """
import asyncio, atexit, sys, threading
from tapeline.runners.unawaited import Unawaited

def late():
    print("Python takes itself apart")

atexit.register(late)

async def main(threads):
    asyncio.get_running_loop().set_default_executor(threads)
    await asyncio.to_thread(print, "done", end="")
    if sys.argv[1] == "busy":
        begun = threading.Event()
        waiting = asyncio.create_task(asyncio.to_thread(lambda: (begun.set(), threading.Event().wait())))
        while not begun.is_set():
            await asyncio.sleep(0)
        waiting.cancel()
    return 3

threads = Unawaited()
code = asyncio.run(main(threads))
threads.leave(code)
sys.exit(4)
"""


@pytest.mark.parametrize("how", ["busy", "idle"])
def test_a_process_ends_at_once_though_a_thread_never_does(how: str) -> None:
    ended = subprocess.run([sys.executable, "-c", _PROGRAM, how], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "done", "")


def test_shutting_down_waits_for_nothing_and_begins_nothing_more() -> None:
    threads, go = Unawaited(max_workers=1), threading.Event()
    first, second = threads.submit(go.wait), threads.submit(go.wait)
    threads.shutdown()
    assert not first.done()
    assert second.cancelled()
    go.set()
    first.result()
