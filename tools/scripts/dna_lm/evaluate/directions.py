"""Which way a score points: whether a larger number stands for the positive label. Never read from the labels."""

from collections.abc import Iterable, Mapping, Sequence

from dna_lm.errors import UserError, quoted
from dna_lm.inputs.tables import quoted_list
from dna_lm.scores import SCORES

UP, DOWN = "up", "down"
PERCENTILE = "_percentile"


def parse(arguments: Iterable[str]) -> dict[str, str]:
    """`NAME=up` and `NAME=down` arguments: name -> direction. Raises `UserError` for others."""
    found = {}
    for argument in arguments:
        name, _, direction = argument.rpartition("=")
        if not name or direction not in (UP, DOWN):
            raise UserError(
                '"Other score columns with their direction" (--direction) takes SCORE=up or SCORE=down, found '
                f"{quoted(argument)}"
            )
        found[name.strip()] = direction
    return found


def of_scores(names: Sequence[tuple[str, str]], given: Mapping[str, str]) -> dict[str, str]:
    """Name -> direction of each score.

    names: (name, column) of each; given: name or column -> direction, which overrides what the registry of scores says
    of the suite's own scores and their percentiles. Raises `UserError` for a score of neither, and for a direction that
    no score has.
    """
    found = {}
    for name, column in names:
        score = SCORES.get(column.removesuffix(PERCENTILE))
        known = None if score is None else (UP if score.grows else DOWN)
        direction = given.get(name, given.get(column, known))
        if direction is None:
            raise UserError(
                f'{quoted(column)} is not a score of this suite: say under "Other score columns with their direction" '
                "(--direction NAME=up or NAME=down) whether a larger or a smaller number points to the positive label"
            )
        found[name] = direction
    if unknown := [name for name in given if name not in {part for pair in names for part in pair}]:
        raise UserError(
            f'"Other score columns with their direction" (--direction) names {quoted(unknown[0])}, which is not one of '
            f"the scores {quoted_list(list(found))}"
        )
    return found
