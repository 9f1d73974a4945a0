"""`python -m rsitr` is the command `rsitr`."""

from rsitr.cli.entry import run

if __name__ == "__main__":
    run()
