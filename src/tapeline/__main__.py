"""``python -m tapeline``: the command line."""

from tapeline.cli import main

if __name__ == "__main__":
    main()
