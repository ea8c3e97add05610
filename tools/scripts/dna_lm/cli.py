"""What every script shares: how it starts, how it reports, how it ends, how its outputs appear.

Knows nothing of sequences, models or statistics.
"""

import argparse
import contextlib
import importlib
import json
import logging
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import NoReturn

from dna_lm import __version__, environment, galaxy, pipes
from dna_lm.errors import UserError, is_out_of_memory, quoted

log = logging.getLogger(__name__)

# What a process killed for memory exits with (128 + SIGKILL): a Galaxy destination can resubmit on it.
OUT_OF_MEMORY_EXIT_CODE = 137
# What a shell expects of a program that Ctrl-C ended.
INTERRUPTED_EXIT_CODE = 128 + signal.SIGINT

# What the help of an option that takes a path shows for it.
_PATH = re.compile(r"FASTA|VCF|TSV|FILE|JSON|MD|PNG|BIGWIG")
_LIST = re.compile("JSON")
_FOLDER = re.compile("DIR")
# An index is read when it is next to its file.
_INDICES = ".fai", ".gzi"
# The paths that the script was given, its outputs among them; and the folders.
_paths = []
_folders = []

# Galaxy shows the first 255 characters of what a job prints. So the results come first, and last what computed them.
_results = []
_notes = []


def result(text: str) -> None:
    """Print `text` first, when the script has ended well: the result in a line."""
    _results.append(text)


def note(text: str) -> None:
    """Print `text` last, when the script has ended well."""
    _notes.append(text)


def start(command: str) -> NoReturn | None:
    """Import and `run` a command of `dna_lm.commands`. The imports take seconds, in which Ctrl-C is one line too."""
    run(lambda argv: importlib.import_module(f"dna_lm.commands.{command}").main(argv))


def run(main: Callable[[list[str]], None]) -> NoReturn | None:
    """Run a script's `main(argv)` and exit: 0, 1 for a `UserError`, 137 when memory ran out, 130 after Ctrl-C.

    A `UserError`, an out-of-memory and Ctrl-C are one line, the first on stderr. Anything else is a bug and shows its
    traceback. On a terminal messages appear at once. Otherwise they come at the end, in the order of their weight:
    results, warnings, the rest.
    """
    environment.keep_bits()
    environment.stay_offline()
    environment.share_processors()
    environment.keep_fonts()
    messages = _Messages()
    logging.basicConfig(handlers=[messages], level=logging.INFO, format="%(message)s", force=True)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # A job that is stopped leaves as an error would: temporary files are removed.
    earlier = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    _results.clear()
    _notes[:] = [f"dna_lm {__version__}, Python {platform.python_version()} at {sys.executable}"]
    has_ended_well = False
    try:
        main(sys.argv[1:])
        has_ended_well = True
    except UserError as error:
        # The one line that a user sees.
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print("error: the job ran out of memory: give it more, or a smaller input or model", file=sys.stderr)
        sys.exit(OUT_OF_MEMORY_EXIT_CODE)
    except KeyboardInterrupt:
        print("error: interrupted: no output is written", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)
    finally:
        messages.print_all(has_ended_well)
        # The process may go on, and be stopped for another reason. A handler that Python has not set is `None`.
        signal.signal(signal.SIGTERM, earlier or signal.SIG_DFL)
        pipes.remove_copies()
    print(*_notes, sep="\n", file=sys.stderr)


class _Messages(logging.Handler):
    """Prints messages on a terminal, and holds them back elsewhere. What is said again is left out.

    Inputs are read twice. A message with the attribute `is_live`, such as the time remaining, is never held back.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()
        self._held: list[logging.LogRecord] = []
        self._holds = not sys.stderr.isatty()

    def emit(self, record: logging.LogRecord) -> None:
        """Print or keep a message."""
        message = record.getMessage()
        if message in self._seen:
            return
        self._seen.add(message)
        if self._holds and not getattr(record, "is_live", False):
            self._held.append(record)
        else:
            print(message, file=sys.stderr, flush=True)

    def print_all(self, has_ended_well: bool) -> None:
        """Print the results, if the script has any, and what was held back, and hold back nothing more.

        In a Galaxy job, results and warnings are on stdout, which Galaxy shows before stderr with the time remaining.
        """
        stream = sys.stdout if galaxy.is_job() and has_ended_well else sys.stderr
        if has_ended_well:
            print(*_results, sep="\n", end="\n" * bool(_results), file=stream)
        for record in sorted(self._held, key=lambda record: record.levelno < logging.WARNING):
            is_warning = record.levelno >= logging.WARNING
            print(record.getMessage(), file=stream if is_warning else sys.stderr)
        self._held.clear()
        self._holds = False


def parse_arguments(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Parse a script's arguments, of which those that a user typed as free text may be in a file.

    The file, given as `--options JSON`, has a JSON object from an option's name without dashes to its text, or to a
    list of texts for an option that takes several. Text in it passes no shell. An empty text means that the option is
    not given.
    """
    parser.error = _refuse
    parser.add_argument("--options", metavar="JSON", help='more options in a file: {"name": "text", ...}')
    in_file = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    in_file.add_argument("--options")
    known, rest = in_file.parse_known_args(argv)
    if known.options:
        try:
            with open(known.options, encoding="utf-8") as handle:
                for name, given in json.load(handle).items():
                    rest += [f"--{name}={text}" for text in (given if isinstance(given, list) else [given]) if text]
        except (OSError, ValueError, AttributeError) as error:
            raise UserError(f"--options: {quoted(known.options)} is not a JSON object of texts: {error}") from error
    arguments = parser.parse_args(rest)
    if arguments.options:
        parser.error("write --options in full")
    _paths[:] = _given_paths(parser, arguments) + ([known.options] if known.options else [])
    _folders[:] = _values(parser, arguments, _FOLDER)
    return arguments


def _refuse(message: str) -> NoReturn:
    """Instead of argparse's own, which begins with all options."""
    text = "".join(character if character.isprintable() else " " for character in message)
    print(f"error: {text} (--help lists the options)", file=sys.stderr)
    sys.exit(2)


def at_least(smallest: int, largest: int | None = None) -> Callable[[str], int]:
    """A type for argparse: a whole number from `smallest` to `largest`."""

    # argparse names it in its message.
    def whole_number(text: str) -> int:
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{value} is less than {smallest}")
        if largest is not None and value > largest:
            raise argparse.ArgumentTypeError(f"{value} is more than {largest}")
        return value

    return whole_number


def _values(parser, arguments, metavar):
    """The values of all options whose help shows a `metavar` that matches."""
    values = []
    for action in parser._actions:
        if isinstance(action.metavar, str) and metavar.search(action.metavar):
            given = getattr(arguments, action.dest)
            values += given if isinstance(given, list) else [given]
    return [value for value in values if value]


def _given_paths(parser, arguments):
    """The values of all options that take paths, without labels; what lists of files name; and indices next to them."""
    values = [
        value if os.path.exists(value) else value.rpartition("=")[2] for value in _values(parser, arguments, _PATH)
    ]
    values += [path for value in _values(parser, arguments, _LIST) for path in _listed_paths(value)]
    return values + [value + suffix for value in values for suffix in _INDICES if os.path.isfile(value + suffix)]


def _listed_paths(path):
    """The paths in a JSON list of files. Its reader says what is wrong with another file."""
    try:
        with open(path, encoding="utf-8") as handle:
            entries = json.load(handle)
        paths = [entry.get(key) for entry in entries for key in ("path", "table")]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return []
    return [path for path in paths if isinstance(path, str)]


def _refuse_overwriting(outputs):
    """Raise `UserError` when an output is a file that the script was given to read, by whatever name."""
    inputs = [path for path in _paths if os.path.isfile(path)]
    for output in outputs:
        if str(output) in inputs:
            inputs.remove(str(output))
    for output in filter(os.path.isfile, outputs):
        same = next((path for path in inputs if os.path.samefile(path, output)), None)
        if same:
            raise UserError(
                f"the output {quoted(output)} is the input {quoted(same)}, which would be lost: give it another name"
            )
        within = next((path for path in _folders if _is_in(output, path)), None)
        if within:
            raise UserError(
                f"the output {quoted(output)} is a file of the folder {quoted(within)}, which would be lost: give it "
                "another name"
            )


def _is_in(path, folder):
    """Whether a file is in a folder, links followed."""
    folder = os.path.realpath(folder)
    return os.path.commonpath([folder, os.path.realpath(path)]) == folder


def refuse_unless_given(arguments: argparse.Namespace, partner: str, **defaults: object) -> None:
    """Raise `UserError` when an option is given without its `partner`, the option that it belongs to.

    defaults: the options (their default in the parser is None), and their values when they are not given.
    """
    for name, default in defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
        elif not getattr(arguments, partner):
            option, other = (f"--{text.replace('_', '-')}" for text in (name, partner))
            raise UserError(f"{option} has no effect without {other}: give both, or leave {option} out")


@contextlib.contextmanager
def atomic_outputs(*paths: str | os.PathLike | None) -> Iterator[list[str | None]]:
    """Temporary paths, one for each of `paths`, moved into place when the block has ended well.

    When the block raises, the temporary files are removed and no output appears. A `None` stays `None`, so that
    optional outputs need no special case. A temporary file has the suffix of its path: matplotlib goes by it. A pipe
    or a device such as /dev/null is written to directly; what is written to /dev/stdout or /dev/fd/N comes after what
    is there, at the end. Raises `UserError` for an output that cannot be written, is named twice, or is an input.
    """
    _refuse_overwriting([os.fspath(path) for path in paths if path is not None])
    targets = [None if path is None else _target(path) for path in paths]
    wanted = [target for target in targets if target is not None]
    for target in wanted:
        if os.path.isdir(target):
            raise UserError(f"cannot write {quoted(target)}: it is a folder")
        if wanted.count(target) > 1:
            raise UserError(f"two outputs have the same name, {quoted(target)}: give them different names")
    temporary = []
    try:
        for target in targets:
            is_stream = target is not None and _descriptor(target) is not None
            if target is None or (os.path.exists(target) and not os.path.isfile(target) and not is_stream):
                temporary.append(target)
                continue
            folder, name = os.path.split(target)
            folder = tempfile.gettempdir() if is_stream else folder
            handle, name = tempfile.mkstemp(dir=folder, prefix=".partial-", suffix=os.path.splitext(name)[1])
            os.close(handle)
            temporary.append(name)
        yield list(temporary)
        mask = os.umask(0)
        os.umask(mask)
        for name, target in zip(temporary, targets, strict=True):
            if name == target:
                continue
            descriptor = _descriptor(target)
            if descriptor is not None:
                with open(name, "rb") as source, open(descriptor, "wb", closefd=False) as stream:
                    shutil.copyfileobj(source, stream)
                continue
            # mkstemp makes files only their owner can read; an output has the permissions of any new file.
            os.chmod(name, 0o666 & ~mask)
            os.replace(name, target)
    except OSError as error:
        raise UserError(f"cannot write {quoted(error.filename or 'the output')}: {error.strerror or error}") from error
    finally:
        for name, target in zip(temporary, targets, strict=False):
            if name != target and os.path.exists(name):
                os.remove(name)


def _target(path):
    """Where an output goes, links followed; for a stream of this process not the file behind it."""
    path = os.path.abspath(path)
    while _descriptor(path) is None and os.path.islink(path):
        path = os.path.abspath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return path if _descriptor(path) is not None else os.path.realpath(path)


def _descriptor(path):
    """The number of the stream of this process that a path names, or None."""
    names = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
    found = re.fullmatch(rf"/(?:dev|proc/(?:self|{os.getpid()}))/fd/(\d+)", path)
    return int(found[1]) if found else names.get(path)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[str]:
    """A temporary folder, moved to `path`, where nothing may be yet, when the block has ended well.

    When the block raises, it is removed with what is in it. Raises `UserError` when it cannot be made or written to.
    """
    target = os.path.abspath(path)
    try:
        if os.path.lexists(target):
            raise UserError(f"cannot make the folder {quoted(path)}: there is one, or a file, of that name")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.dirname(target), prefix=".partial-") as folder:
            made = os.path.join(folder, "made")
            os.mkdir(made)
            yield made
            os.rename(made, target)
    except OSError as error:
        raise UserError(f"cannot write the folder {quoted(path)}: {error.strerror or error}") from error
