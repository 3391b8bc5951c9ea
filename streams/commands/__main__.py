"""`python -m streams.commands`: the same command line, as `run` starts its children."""

from streams.commands import main

main()
