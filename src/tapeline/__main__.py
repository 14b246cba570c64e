"""The door of the command line: ``tapeline`` and ``python -m tapeline``.

It imports nothing before it is ready for Ctrl-C, so that an interruption while Python loads reads as one.
"""

from __future__ import annotations

import sys
from typing import NoReturn

_INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    try:
        from tapeline.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: what was committed is kept\n")
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
