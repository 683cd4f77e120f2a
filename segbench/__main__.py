"""`python -m segbench`: the command line without the console script."""

from segbench.cli import main

if __name__ == "__main__":
    main()
