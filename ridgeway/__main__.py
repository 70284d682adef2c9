"""`python -m ridgeway` is the command `ridgeway`."""

from ridgeway.cli import main

main(prog_name="ridgeway")
