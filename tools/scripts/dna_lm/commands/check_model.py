"""Compare a model with what its published weights gave for 32 pieces of DNA."""

import argparse
import logging
from collections import Counter
from pathlib import Path

from dna_lm import cli
from dna_lm.engine import loading
from dna_lm.known import answers
from dna_lm.known.answers import Comparison
from dna_lm.model.checkpoint import PRECISIONS
from dna_lm.outputs import tables

log = logging.getLogger(__name__)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", metavar="DIR", help="model folder, or a Hugging Face cache")
    parser.add_argument(
        "--model", metavar="OWNER/NAME", help="which model it should be (default: by the name of the folder)"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="(default: float32)")
    parser.add_argument("--output", metavar="TSV", help="one row for each piece of DNA")
    return cli.parse_arguments(parser, argv)


def cells(found: Comparison) -> dict[str, object]:
    """The columns of the table."""
    known = found.known
    return {
        "probe": found.probe,
        "tokens": found.tokens,
        "log_likelihood": found.total,
        "published_tokens": known and known.tokens,
        "published_log_likelihood": known and known.total,
        "difference": known and found.total - known.total,
        "verdict": found.verdict,
    }


def main(argv: list[str]) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)
    model_id = arguments.model or answers.id_of(Path(arguments.folder))
    model = loading.load(arguments.folder, arguments.precision, model_id)
    found = []
    with cli.atomic_outputs(arguments.output) as [path]:
        found = list(answers.compare(model, model_id))
        if path:
            with tables.table(path, cells) as write:
                for comparison in found:
                    write(comparison)
    if model_id:
        counts = Counter(comparison.verdict for comparison in found)
        listed = ", ".join(f"{verdict} {number}" for verdict, number in counts.most_common())
        n_same = counts[answers.SAME] + counts[answers.ROUGH]
        verdict = "this is the published model" if n_same == len(found) else "this is NOT the published model"
        log.info("%s: %s: %d pieces of DNA: %s", model_id, verdict, len(found), listed)
    else:
        log.info("no known answers: the folder is not called after a model that has some, and --model is not given")
    n_better, gain = answers.shuffled(model, found)
    log.info(
        "%d of %d pieces of DNA are more likely to the model than their bases in random order, by %.3f nats a base: %s",
        n_better,
        len(found),
        gain,
        "it reads DNA" if n_better > 0.75 * len(found) else "it does not read DNA better than chance",
    )
