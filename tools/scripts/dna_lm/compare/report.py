"""The comparison of groups in words: a Markdown report that begins with the result, effect size before p.

Knows the results of `statistics`, but no tables on disk. Whatever a user typed (labels, column, title) passes through
`inert`. In Galaxy the report is a `tool_markdown` dataset, which every server shows; an administrator would
have to allow HTML.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dna_lm.compare.hypothesis_tests import TITLES
from dna_lm.compare.statistics import Effects, Group, Result
from dna_lm.estimates import CORRECTIONS, NO_INTERVAL, Estimate, estimate_text
from dna_lm.galaxy import FILES, MAX_REPORT_BYTES, Page
from dna_lm.outputs.markdown import (
    MAX_TITLE,
    Blocks,
    distinct,
    fitting,
    inert,
    limited,
    number_text,
    p_text,
    p_value_text,
    settings_list,
    table,
)

# |Cliff's delta| below each bound has the name (Romano, Kromrey, Coraggio and Skowronek 2006).
MAGNITUDES = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"), (math.inf, "large"))
NEGLIGIBLE = MAGNITUDES[0][0]
ALPHA = 0.05

# Bytes of the score's name.
MAX_SCORE = 120

# A sentence quotes the test that fits the effect size (both are of ranks) if that test was made.
RANK_TESTS = ("mann-whitney", "wilcoxon-signed-rank")

Pair = list[Result]  # the results of one pair of groups


def magnitude(delta: float) -> str:
    """The usual word for the size of a Cliff's delta or a rank-biserial correlation, whatever its sign."""
    return next(name for bound, name in MAGNITUDES if abs(delta) < bound)


def write_report(
    groups: Sequence[Group],
    results: Sequence[Result],
    summaries: Sequence[Mapping[str, float]],
    score: str,
    *,
    title: str | None,
    paired: bool,
    correction: str,
    tutorial: bool,
    plot: str | None,
    settings: Mapping[str, str],
    page: Page = FILES,
) -> str:
    """The report as Markdown text of at most `MAX_REPORT_BYTES`.

    results: of `statistics.compare` with `paired`, `correction` and `tutorial`; summaries: of `statistics.summarise`,
    for each group; score: the score's name in words; plot: from `plot_block`; settings: name to value, for the end;
    page: where it is read. A long report has fewer rows in each list and table, and says where the
    others are. A report that is still too long ends early and says so.
    """
    labels = distinct([group.label for group in groups])
    groups = [replace(group, label=labels[group.label]) for group in groups]
    results = [replace(result, a=labels.get(result.a), b=labels.get(result.b)) for result in results]
    score = limited(score, MAX_SCORE)
    heading = inert(limited(title or "Comparison of mutation scores", MAX_TITLE))
    pairs = _by_pair(results)
    overall = [result for result in results if result.a is None]
    correction_words = _correction_words(pairs, correction)

    def compose(rows: int) -> Blocks:
        blocks = [f"# {heading}"]
        blocks += _findings(overall, pairs, score, correction_words, rows)
        blocks += _warnings(groups, paired, tutorial, rows)
        if plot:
            blocks += ["## Plot", plot]
        blocks += _summary_section(groups, summaries, rows, page)
        blocks += ["## Effect sizes", _effect_table(pairs, paired, rows)]
        blocks += _test_section(overall + [result for tests in pairs for result in tests], rows, page)
        blocks += ["## How to read this", _how_to_read(paired)]
        blocks += ["## Settings", settings_list(settings)]
        return blocks

    return fitting(compose, page, MAX_REPORT_BYTES)


def _summary_section(
    groups: Sequence[Group], summaries: Sequence[Mapping[str, float]], rows: int, page: Page
) -> Blocks:
    blocks = ["## Groups", _summary_table(groups, summaries, rows)]
    if rows < len(groups):
        blocks += page.table("summary", "Every number of every group")
    return blocks


def _test_section(results: Sequence[Result], rows: int, page: Page) -> Blocks:
    return ["## Tests", _test_table(results, rows), *page.table("tests", "Every number of every test")]


def _by_pair(results: Sequence[Result]) -> list[Pair]:
    """[[results of one pair of groups], …], the largest effect first."""
    pairs = {}
    for result in results:
        if result.a is not None:
            pairs.setdefault((result.a, result.b), []).append(result)
    return sorted(pairs.values(), key=lambda tests: -abs(_delta(tests[0].effects).value))


def _delta(effects: Effects) -> Estimate:
    """The effect by ranks on -1..1: Cliff's delta, or for paired rows the rank-biserial correlation, NaN as 0."""
    delta = effects.rank_biserial if math.isnan(effects.cliffs_delta.value) else effects.cliffs_delta
    return Estimate(0.0, -1.0, 1.0) if math.isnan(delta.value) else delta


# --- the result in sentences -----------------------------------------------------------------------------------------


def _findings(
    overall: Sequence[Result], pairs: Sequence[Pair], score: str, correction: str | None, rows: int
) -> Blocks:
    if len(pairs) == 1:
        return [_sentence(pairs[0], f" in {inert(score)}", correction)]
    n_clear = sum(_verdict(tests) in ("clear", "negligible", "size open") for tests in pairs)
    high, low, effect = _oriented(pairs[0][0])
    lead = (
        f"Of {len(pairs)} pairs of groups, **{n_clear}** {'differs' if n_clear == 1 else 'differ'} clearly in "
        f"{inert(score)}. The largest difference is of {high} over {low}: {effect}."
    )
    if overall:
        tests = "; ".join(f"{TITLES[result.test]} {p_text(result.outcome.p)}" for result in overall)
        lead += f" All groups at once: {tests}."
    which = "Every pair, the largest difference first"
    if rows < len(pairs):
        which = f"The pairs with the largest differences, {rows} of {len(pairs)} (the tests table has them all)"
    return [lead, f"{which}:", "\n".join(f"- {_sentence(tests, '', correction)}" for tests in pairs[:rows])]


def _verdict(tests: Pair) -> str:
    delta = _delta(tests[0].effects)
    if delta.low > -NEGLIGIBLE and delta.high < NEGLIGIBLE:
        return "negligible" if delta.low > 0 or delta.high < 0 else "alike"
    if not _quoted_test(tests).p_corrected < ALPHA:
        return "unclear"
    if math.isnan(delta.low) or _spans_zero(delta):
        return "size open"
    return "negligible" if abs(delta.value) < NEGLIGIBLE else "clear"


def _spans_zero(delta: Estimate) -> bool:
    return delta.low <= 0 <= delta.high


def _quoted_test(tests: Pair) -> Result:
    return next((result for result in tests if result.test in RANK_TESTS), tests[0])


def _sentence(tests: Pair, in_score: str, correction: str | None) -> str:
    """What is known of one pair of groups: its verdict, effect size, p and numbers of rows."""
    effects, quoted_test, verdict = tests[0].effects, _quoted_test(tests), _verdict(tests)
    high, low, effect = _oriented(tests[0])
    opening = {
        "clear": f"{high} scores higher than {low}{in_score}",
        "negligible": f"{high} scores higher than {low}{in_score}, but the difference is negligible",
        "alike": f"{high} and {low} score alike{in_score}, any difference is negligible",
        "size open": f"{high} scores higher than {low}{in_score}, but there are too few rows to say by how much",
        "unclear": f"No clear difference{in_score} between {high} and {low}",
    }[verdict]
    delta = _delta(effects)
    if not math.isnan(effects.auc.value):
        share = 50 * (1 + abs(delta.value))
        ties = ", ties counted half" if share == 50 else ""
        size = f"a random score of {high} exceeds a random score of {low} {share:.0f} % of the time{ties} ({effect})"
        n_high, n_low = quoted_test.n_a, quoted_test.n_b
        if delta.value < 0:
            n_high, n_low = n_low, n_high
        counts = f"n = {n_high:,} and {n_low:,}"
    elif math.isnan(effects.rank_biserial.value):
        return f"{opening}: every pair has two equal scores; {quoted_test.n_a:,} pairs."
    else:
        size = f"within pairs, the ranked differences favour {high} ({effect})"
        counts = f"{quoted_test.n_a:,} pairs"
    if verdict == "unclear" and (math.isnan(delta.low) or _spans_zero(delta)):
        size += ", which leaves open which group is higher"
    elif verdict == "unclear":
        size += f"; the interval is on one side, but the corrected p is not below {ALPHA:g}"
    elif verdict == "clear":
        size += f"; a {magnitude(delta.value)} difference"
    p = f"{TITLES[quoted_test.test]} {p_text(quoted_test.outcome.p)}"
    if correction:
        p += f" ({correction}: {p_text(quoted_test.p_corrected)})"
    return f"{opening}: {size}. {p}; {counts}."


def _oriented(result: Result) -> tuple[str, str, str]:
    """The group with the higher scores, the other, and the effect by ranks of the first over the second in words."""
    delta, high, low = _delta(result.effects), result.a, result.b
    if delta.value < 0:
        delta, high, low = Estimate(-delta.value, -delta.high, -delta.low), low, high
    if math.isnan(result.effects.auc.value):
        name, shown = "rank-biserial correlation", delta
    else:
        name, shown = "AUC", [(1 + number) / 2 for number in delta]
    value, *limits = shown
    interval = NO_INTERVAL if math.isnan(limits[0]) else "95 % interval {:.3f} to {:.3f}".format(*limits)
    return f"**{inert(high)}**", f"**{inert(low)}**", f"{name} {value:.3f}, {interval}"


def _correction_words(pairs: Sequence[Pair], correction: str) -> str | None:
    """How the quoted test's p-values were corrected: over the pairs of groups."""
    n_tests = sum(not math.isnan(_quoted_test(tests).outcome.p) for tests in pairs)
    return None if correction == "none" or n_tests < 2 else f"{CORRECTIONS[correction]}-corrected over {n_tests} pairs"


def _warnings(groups: Sequence[Group], paired: bool, tutorial: bool, rows: int) -> Blocks:
    blocks = []
    if tutorial:
        blocks.append(
            "**As in the tutorial:** the signed-rank test is a test of paired rows, and these rows are not paired. Its "
            "p depends on the order of the rows: it changes when one table is shuffled. Use it only to reproduce the "
            "tutorial's number. For a conclusion, run the comparison again without the tutorial's tests "
            "(Mann–Whitney U)."
        )
    counts = [(group.label, len(group.scores) - len(group.scored)) for group in groups]
    not_scored = [f"{inert(label)}: {count:,}" for label, count in counts if count]
    if len(not_scored) > rows:
        not_scored = [*not_scored[:rows], f"and {len(not_scored) - rows} other groups, see the summary table"]
    if not_scored:
        blocks.append(
            f"Rows without a score were left out{' with the other half of their pair' if paired else ''} "
            f"({'; '.join(not_scored)}). Their status in the score table says why. If the reasons differ between "
            "groups, the remaining rows may not be comparable."
        )
    if paired and (sentences := [group.pairing for group in groups if group.pairing]):
        others = f" ({len(sentences) - 1} more groups: see the messages of the job)" if len(sentences) > 1 else ""
        blocks.append(f"**Check the pairing:** {inert(sentences[0])}{others}.")
    return blocks


# --- tables ----------------------------------------------------------------------------------------------------------


def _summary_table(groups: Sequence[Group], summaries: Sequence[Mapping[str, float]], rows: int) -> str:
    names = list(summaries[0])
    header = ["Group", *(name.replace("_", " ") for name in names)]
    lines = [
        [
            inert(group.label),
            *(f"{summary[name]:,}" if name.startswith("n") else number_text(summary[name]) for name in names),
        ]
        for group, summary in zip(groups, summaries, strict=True)
    ]
    return table(header, lines[:rows], 1, len(groups), "summary")


def _effect_table(pairs: Sequence[Pair], paired: bool, rows: int) -> str:
    if paired:
        header = ["A", "B", "Rank-biserial correlation (95 %)", "Hedges' g of the differences (95 %)", "Size"]
    else:
        header = ["A", "B", "AUC (95 %)", "Cliff's delta (95 %)", "Hedges' g (95 %)", "Size"]
    lines = []
    for tests in pairs[:rows]:
        effects = tests[0].effects
        if paired:
            estimates = (effects.rank_biserial, effects.hedges_g_paired)
        else:
            estimates = (effects.auc, effects.cliffs_delta, effects.hedges_g)
        size = magnitude(_delta(effects).value)
        lines.append([inert(tests[0].a), inert(tests[0].b), *map(estimate_text, estimates), size])
    return table(header, lines, 2, len(pairs))


def _test_table(results: Sequence[Result], rows: int) -> str:
    header = ["Groups", "Test", "Statistic", "df", "p", "p corrected"]
    lines = []
    for result in results[:rows]:
        outcome = result.outcome
        between = "all groups" if result.a is None else f"{inert(result.a)} – {inert(result.b)}"
        df = "" if math.isnan(outcome.df) else f"{outcome.df:.4g}"
        df += "" if math.isnan(outcome.df_error) else f", {outcome.df_error:.4g}"
        p, corrected = p_value_text(outcome.p), p_value_text(result.p_corrected)
        lines.append([between, TITLES[result.test], number_text(outcome.statistic), df, p, corrected])
    return table(header, lines, 2, len(results))


def _how_to_read(paired: bool) -> str:
    lines = [
        "**The effect size says how large a difference is. The p-value says how unusual the data would be if there "
        "were no difference.** With many rows, a negligible difference has a tiny p; with few rows, a large difference "
        "may not have one.",
    ]
    if paired:
        lines.append(
            "The rank-biserial correlation is 0 when differences within pairs go both ways equally, and 1 or -1 when "
            "all go one way. Positive: A is higher than B."
        )
    else:
        lines.append(
            "AUC: how often a random score of A exceeds a random score of B, ties counted half; 0.5 is no "
            "difference, 1 and 0 are complete separation. Below 0.5, B is the higher group, and the sentence at the "
            "top names B first, with 1 - AUC. Cliff's delta is the same on a scale of -1 to 1. Hedges' g is the "
            "difference of the means in standard deviations."
        )
    lines += [
        "Tests of one pair may disagree, as they ask different questions. Rank tests (Mann–Whitney, Wilcoxon) ask "
        "which group tends to have the higher scores. t tests ask which has the higher mean, which a few huge scores "
        "can change.",
        "Size, by the absolute Cliff's delta or rank-biserial correlation: below 0.147 negligible, below 0.33 small, "
        "below 0.474 medium, otherwise large (Romano and others, 2006). Each interval is a 95 % interval, not "
        "corrected for the number of pairs.",
        "A score says how differently a language model sees two sequences. It is not a probability that a mutation is "
        "pathogenic. Groups can differ in it for reasons other than biology: the length or composition of the "
        "sequences, repeats, or the number of tokens that a change affects.",
    ]
    return "\n".join(f"- {line}" for line in lines)
