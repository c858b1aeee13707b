"""`python -m att` is `att`."""

from att.cli.main import main

main()
