"""`python -m rsitr` is the command `rsitr`."""

from rsitr.cli.app import main

if __name__ == "__main__":
    main()
