"""Scoring the pairs of test-data/ in one job and in chunks: a table from chunks must equal that of one job."""

from galaxy_server import ROOT
from galaxy_user import User

TOOL = "dna_lm_score_pairs"
MODEL = "dna-lm/demo-mixtral"
WITH_MODEL = {"model|installed": MODEL}
WORKFLOW = ROOT / "workflows" / "score-mutations-in-chunks" / "score-mutations-in-chunks.ga"
N_PAIRS = 200


def in_one_job(user: User, pairs: dict) -> bytes:
    """The score table of one job with all pairs."""
    return user.run(TOOL, {**pairs, **WITH_MODEL})["output"]


def chunk_inputs(pairs: dict, size: int, model: str = MODEL) -> dict:
    """The inputs of the workflow that scores chunks of this many pairs."""
    return {
        "Wild-type sequences": pairs["wild_type"],
        "Mutant sequences": pairs["mutant"],
        "Pairs in a chunk": size,
        "DNA language model": model,
    }


def start_in_chunks(user: User, pairs: dict, size: int, model: str = MODEL) -> str:
    """Start the workflow that scores chunks of this many pairs; returns its invocation."""
    return user.invoke(WORKFLOW, chunk_inputs(pairs, size, model))


def in_chunks(user: User, pairs: dict, size: int, model: str = MODEL) -> bytes:
    """The score table of the workflow, made of chunks of this many pairs."""
    return user.workflow_output(start_in_chunks(user, pairs, size, model), "Scores")
