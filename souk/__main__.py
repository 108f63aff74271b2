"""`python -m souk` is the `souk` command."""

from souk.cli import main

if __name__ == "__main__":
    main()
