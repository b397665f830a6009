"""The relay on a leash: the same relay, which ends in order when the process that started it is gone.

Its standard input is a pipe that the window holds open. However the window ends, killed or crashed too, the system
closes the pipe; the relay then drains as on SIGTERM. No Qt, and nothing of the relay but its name, by which it is run.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from collections.abc import Sequence

_LONGEST_END_S = 15.0  # the relay drains for 5 s by default; after this it ends at once


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the relay until it ends, or until standard input does.

    Args:
        arguments: Of the relay's command line; None takes the process's own.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    threading.Thread(target=_hold, args=(sys.stdin.fileno(),), name="leash", daemon=True).start()
    sys.argv = ["agentnet-relay", *given]
    runpy.run_module("relay", run_name="__main__")


def _hold(pipe: int) -> None:
    """Wait until the pipe is closed at the other end, and end this process in order."""
    while os.read(pipe, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_LONGEST_END_S)
    os._exit(1)


if __name__ == "__main__":
    main()
