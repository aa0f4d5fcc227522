"""`python -m towplane` is the `towplane` command."""

from towplane.cli.main import main

main()
