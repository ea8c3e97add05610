"""The suite on the command line: `dna_lm COMMAND ...`, the same as the scripts."""

import sys
from pathlib import Path

from dna_lm import cli

_MODULES = {path.stem for path in Path(__file__).with_name("commands").glob("[a-z]*.py")}
COMMANDS = sorted(_MODULES - {"options"})


def main() -> None:
    """Run the command that the first argument names."""
    given = sys.argv[1] if len(sys.argv) > 1 else "--help"
    name = given.replace("-", "_")
    if name not in COMMANDS:
        is_help = given in ("--help", "-h")
        print(
            f"usage: dna_lm COMMAND ...\n\ncommands, each with --help: {', '.join(COMMANDS)}",
            file=sys.stdout if is_help else sys.stderr,
        )
        sys.exit(0 if is_help else 2)
    sys.argv = [f"dna_lm {name}", *sys.argv[2:]]
    cli.start(name)


if __name__ == "__main__":
    main()
