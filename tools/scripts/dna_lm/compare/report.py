"""The comparison of groups in words: a Markdown report that begins with what was found, effect size before p.

Knows the results of `dna_lm.groups`, nothing of tables on disk. Whatever a user typed (labels, column, title) passes
through `inert`. In Galaxy the report is a `tool_markdown` dataset: no administrator has to allow HTML for it.
"""

import math
import re
from dataclasses import replace
from urllib.parse import quote

from dna_lm.compare.statistics import CORRECTIONS, TITLES

# |Cliff's delta| below each bound has the name (Romano, Kromrey, Coraggio and Skowronek 2006).
MAGNITUDES = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"), (math.inf, "large"))
NEGLIGIBLE = MAGNITUDES[0][0]
ALPHA = 0.05

# Rows of a table that a person still reads; the tests table has them all.
MAX_ROWS = 30

# Galaxy's page shows the first 10,240 characters of a report and leaves out the rest without a message. So a report has
# at most this many bytes, which fits whether a server counts bytes or characters: long tables get fewer rows, and long
# names are cut.
MAX_BYTES = 9_500
MAX_LABEL = 120
MAX_TITLE = 400

NO_INTERVAL = "too few rows for an interval"

# In a sentence the test that fits the effect size (both by ranks) is quoted when it was made.
RANK_TESTS = ("mann-whitney", "wilcoxon-signed-rank")


def inert(text):
    """User text as Markdown that shows it and does nothing: ASCII punctuation but .,:;()/%'- becomes entities.

    So there is no Markdown, HTML, table cell, code fence or Galaxy directive (`${galaxy …}`) in it. It must not begin
    a line, where `-` or `1.` would begin a list.
    """
    return re.sub(r"[!\"#$&*+<=>?@\[\\\]^_`{|}~]", lambda match: f"&#{ord(match.group())};", text)


def magnitude(delta):
    """The usual word for the size of a Cliff's delta or a rank-biserial correlation (sign does not matter)."""
    return next(name for bound, name in MAGNITUDES if abs(delta) < bound)


def write_report(
    groups, results, summaries, score, *, title, paired, correction, tutorial, plot, settings, galaxy=False
):
    """The report as Markdown text.

    groups: `Group`s; results: `Result`s of `groups.compare`, run with `paired`, `correction` and `tutorial`;
    summaries: a dict of `groups.summarise` for each group; score: the score's name in words; plot: from `plot_block`;
    settings: name to value, shown at the end; galaxy: embed the Galaxy tool's outputs. The report has at most
    `MAX_BYTES`: if needed, every list and table is cut to the same number of rows and says where the rest is.
    """
    labels = _short_labels([group.label for group in groups])
    groups = [replace(group, label=labels[group.label]) for group in groups]
    results = [replace(result, a=labels.get(result.a), b=labels.get(result.b)) for result in results]
    score = shortened(score, MAX_LABEL)
    pairs = _by_pair(results)
    results = [result for result in results if result.a is None] + [result for tests in pairs for result in tests]
    correction_words = _correction_words(results, correction)

    def text(rows):
        blocks = [f"# {inert(shortened(title or 'Comparison of mutation scores', MAX_TITLE))}"]
        blocks += _findings(groups, results, pairs, score, correction_words, rows)
        blocks += _warnings(groups, paired, tutorial, rows)
        if plot:
            blocks += ["## Plot", plot]
        blocks += ["## Groups", _summary_table(groups, summaries, rows)]
        if galaxy and rows < len(groups):
            blocks.append(_embedded_table("summary", "Every number of every group"))
        blocks += ["## Effect sizes", _effect_table(pairs, paired, rows)]
        blocks += ["## Tests", _test_table(results, rows)]
        if galaxy:
            blocks.append(_embedded_table("tests", "Every number of every test"))
        blocks += ["## How to read this", _how_to_read(paired)]
        shown = {name: shortened(str(value), MAX_TITLE) for name, value in settings.items()}
        blocks += ["## Settings", "\n".join(f"- {name}: {inert(value)}" for name, value in shown.items())]
        joined = "\n\n".join(blocks) + "\n"
        # Galaxy sets the cells of a table side by side without any padding: a space at which no line breaks. No user
        # text has a bar in it.
        return re.sub(r" \| (?!---)", " | &#8199;", joined) if galaxy else joined

    texts = map(text, range(MAX_ROWS, 0, -1))
    return next(report for report in texts if len(report.encode()) <= MAX_BYTES)


def shortened(text, limit):
    """The text; if it would take more than `limit` bytes in the report, `…` replaces its middle."""
    short, kept = text, limit
    while len(inert(short).encode()) > limit:
        kept -= 1
        short = f"{text[: kept - kept // 3]}…{text[len(text) - kept // 3 :]}"
    return short


def _short_labels(labels):
    """Label -> the group's name in the report. Of shortened names that are equal, all but the first get a number."""
    short = {}
    for number, label in enumerate(labels, start=1):
        name = shortened(label, MAX_LABEL)
        short[label] = f"{shortened(label, MAX_LABEL - 5)} ({number})" if name in short.values() else name
    return short


def _embedded_table(output, title):
    return f'```galaxy\nhistory_dataset_as_table(output="{output}", collapse="{title}")\n```'


def plot_block(name, file_format, note=None, galaxy=False):
    """Markdown that shows the plot: file `name` beside the report, or in Galaxy the output `plot`. None without."""
    if not name:
        return None
    if file_format == "pdf" or (galaxy and file_format == "svg"):  # Galaxy's reports take no SVG for an image
        text = f"The plot is {'a PDF' if file_format == 'pdf' else 'an SVG'}, which cannot be shown inside a report: "
        text += "open the plot itself."
    elif galaxy:
        text = '```galaxy\nhistory_dataset_as_image(output="plot")\n```'
    else:
        text = f"![Scores of the groups](<{quote(name)}>)"
    return f"{text}\n\n{note}" if note else text


def _by_pair(results):
    """[[results of one pair of groups], …], the largest effect first."""
    pairs = {}
    for result in results:
        if result.a is not None:
            pairs.setdefault((result.a, result.b), []).append(result)
    return sorted(pairs.values(), key=lambda tests: -abs(_delta(tests[0].effects).value))


def _delta(effects):
    """The effect by ranks on -1..1: Cliff's delta, or for paired rows the rank-biserial correlation, NaN as 0."""
    delta = effects.rank_biserial if math.isnan(effects.cliffs_delta.value) else effects.cliffs_delta
    return delta._replace(value=0.0, low=-1.0, high=1.0) if math.isnan(delta.value) else delta


# --- what was found --------------------------------------------------------------------------------------------------


def _findings(groups, results, pairs, score, correction, rows):
    if len(groups) == 2:
        return [_sentence(pairs[0], f" in {inert(score)}", correction)]
    sentences = [_sentence(tests, "", correction) for tests in pairs[:rows]]
    clear = sum(_verdict(tests) in ("clear", "negligible", "size open") for tests in pairs)
    lead = (
        f"Of {len(pairs)} pairs of groups, **{clear}** {'differs' if clear == 1 else 'differ'} clearly in "
        f"{inert(score)}."
    )
    high, low, effect = _oriented(pairs[0][0])
    lead += f" The largest difference is of {high} over {low}: {effect}."
    overall = [result for result in results if result.a is None]
    if overall:
        said = "; ".join(f"{TITLES[result.test]} {_p(result.outcome.p)}" for result in overall)
        lead += f" All {len(groups)} groups at once: {said} (before correction)."
    which = "Every pair, the largest difference first"
    if rows < len(pairs):
        which = f"The pairs with the largest differences, {rows} of {len(pairs)} (the tests table has them all)"
    return [lead, f"{which}:", "\n".join(f"- {text}" for text in sentences)]


def _verdict(tests):
    delta = _delta(tests[0].effects)
    rank_test = _quoted_test(tests)
    if delta.low > -NEGLIGIBLE and delta.high < NEGLIGIBLE:
        return "negligible" if delta.low > 0 or delta.high < 0 else "alike"
    if not rank_test.p_corrected < ALPHA:
        return "unclear"
    if math.isnan(delta.low) or delta.low <= 0 <= delta.high:
        return "size open"
    return "negligible" if abs(delta.value) < NEGLIGIBLE else "clear"


def _quoted_test(tests):
    return next((result for result in tests if result.test in RANK_TESTS), tests[0])


def _sentence(tests, in_score, correction):
    first, quoted_test = tests[0], _quoted_test(tests)
    high, low, effect = _oriented(first)
    delta = _delta(first.effects)
    n_high, n_low = (quoted_test.n_b, quoted_test.n_a) if delta.value < 0 else (quoted_test.n_a, quoted_test.n_b)
    verdict = _verdict(tests)
    opening = {
        "clear": f"{high} scores higher than {low}{in_score}",
        "negligible": f"{high} scores higher than {low}{in_score}, but the difference is negligible",
        "alike": f"{high} and {low} score alike{in_score}, any difference is negligible",
        "size open": f"{high} scores higher than {low}{in_score}, but there are too few rows to say by how much",
        "unclear": f"No clear difference{in_score} between {high} and {low}",
    }[verdict]
    paired = math.isnan(first.effects.auc.value)
    if paired and math.isnan(first.effects.rank_biserial.value):
        return f"{opening}: every pair has two equal scores; {quoted_test.n_a:,} pairs."
    if paired:
        size = f"within pairs, the ranked differences favour {high} ({effect})"
    else:
        share = 50 * (1 + abs(delta.value))
        ties = ", ties counted half" if share == 50 else ""
        size = f"a random score of {high} exceeds a random score of {low} {share:.0f} % of the time{ties} ({effect})"
    if verdict == "unclear":
        size += (
            ", which leaves open which group is higher"
            if math.isnan(delta.low) or delta.low <= 0 <= delta.high
            else f"; the interval is on one side, but the corrected p is not below {ALPHA:g}"
        )
    elif verdict == "clear":
        size += f"; a {magnitude(delta.value)} difference"
    counts = f"{quoted_test.n_a:,} pairs" if paired else f"n = {n_high:,} and {n_low:,}"
    p = f"{TITLES[quoted_test.test]} {_p(quoted_test.outcome.p)}"
    if correction:
        p += f" ({correction}: {_p(quoted_test.p_corrected)})"
    return f"{opening}: {size}. {p}; {counts}."


def _oriented(result):
    """The group with the higher scores, the other, and the effect by ranks of the first over the second in words."""
    delta, high, low = _delta(result.effects), result.a, result.b
    if delta.value < 0:
        delta, high, low = type(delta)(-delta.value, -delta.high, -delta.low), low, high
    if math.isnan(result.effects.auc.value):
        name, shown = "rank-biserial correlation", delta
    else:
        name, shown = "AUC", [(1 + number) / 2 for number in delta]
    value, *limits = shown
    interval = NO_INTERVAL if math.isnan(limits[0]) else "95 % interval {:.3f} to {:.3f}".format(*limits)
    return f"**{inert(high)}**", f"**{inert(low)}**", f"{name} {value:.3f}, {interval}"


def _correction_words(results, correction):
    made = sum(not math.isnan(result.outcome.p) for result in results)
    return None if correction == "none" or made < 2 else f"{CORRECTIONS[correction]}-corrected over {made} tests"


def _warnings(groups, paired, tutorial, rows):
    found = []
    if tutorial:
        found.append(
            "**As in the tutorial:** the signed-rank test is a test of paired rows, and these rows are not paired. Its "
            "p depends on the order of the rows: shuffle one table and it changes. It is here to reproduce the "
            "tutorial's number; for a conclusion run the comparison again without tutorial mode (Mann–Whitney U)."
        )
    missing = [(group.label, len(group.scores) - len(group.scored)) for group in groups]
    missing = [f"{inert(label)}: {number:,}" for label, number in missing if number]
    if len(missing) > rows:
        missing = [*missing[:rows], f"and {len(missing) - rows} other groups, see the summary table"]
    if missing:
        found.append(
            f"Rows without a score were left out{' with the other half of their pair' if paired else ''} "
            f"({'; '.join(missing)}). Their status in the score table says why: if that differs between groups, "
            "so may the groups."
        )
    if paired:
        differing = _differing_ids(groups)
        if differing:
            found.append(
                f"**Check the pairing:** rows were paired by their order, and {differing:,} of "
                f"{len(groups[0].scores):,} rows do not have the same id in every group."
            )
    return found


def _differing_ids(groups):
    columns = [group.ids for group in groups]
    return 0 if None in columns else sum(len(set(ids)) > 1 for ids in zip(*columns, strict=True))


# --- tables ----------------------------------------------------------------------------------------------------------


def _table(header, rows, texts, total, source="tests"):
    """A Markdown table whose first `texts` columns are text and whose others are numbers.

    If it has fewer rows than the `total` of the `source` table, a line below says so.
    """
    lines = [header, ["---"] * texts + ["---:"] * (len(header) - texts), *rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if total > len(rows):
        text += f"\n\nThe first {len(rows)} of {total}; the {source} table has them all."
    return text


def _summary_table(groups, summaries, rows):
    names = list(summaries[0])
    header = ["Group", *(name.replace("_", " ") for name in names)]
    lines = [
        [
            inert(group.label),
            *(f"{summary[name]:,}" if name.startswith("n") else _number(summary[name]) for name in names),
        ]
        for group, summary in zip(groups, summaries, strict=True)
    ]
    return _table(header, lines[:rows], 1, len(groups), "summary")


def _effect_table(pairs, paired, rows):
    if paired:
        header = ["A", "B", "Rank-biserial correlation (95 %)", "Hedges' g of the differences (95 %)", "Size"]
    else:
        header = ["A", "B", "AUC (95 %)", "Cliff's delta (95 %)", "Hedges' g (95 %)", "Size"]
    lines = []
    for tests in pairs[:rows]:
        effects = tests[0].effects
        chosen = (
            (effects.rank_biserial, effects.hedges_g_paired)
            if paired
            else (effects.auc, effects.cliffs_delta, effects.hedges_g)
        )
        size = magnitude(_delta(effects).value)
        lines.append([inert(tests[0].a), inert(tests[0].b), *map(_estimate, chosen), size])
    return _table(header, lines, 2, len(pairs))


def _test_table(results, rows):
    header = ["Groups", "Test", "Statistic", "df", "p", "p corrected"]
    lines = []
    for result in results[:rows]:
        outcome = result.outcome
        between = "all groups" if result.a is None else f"{inert(result.a)} – {inert(result.b)}"
        df = "" if math.isnan(outcome.df) else f"{outcome.df:.4g}"
        df += "" if math.isnan(outcome.df_error) else f", {outcome.df_error:.4g}"
        p, corrected = _p_value(outcome.p), _p_value(result.p_corrected)
        lines.append([between, TITLES[result.test], _number(outcome.statistic), df, p, corrected])
    return _table(header, lines, 2, len(results))


def _number(value):
    if math.isnan(value):
        return "undefined"
    return f"{value:,.0f}" if 9999.5 <= abs(value) < 1e9 else f"{value:.4g}"


def _estimate(estimate):
    if math.isnan(estimate.value):
        return "undefined"
    interval = NO_INTERVAL if math.isnan(estimate.low) else f"{estimate.low:.3f} to {estimate.high:.3f}"
    return f"{estimate.value:.3f} ({interval})"


def _p_value(p):
    if math.isnan(p):
        return "undefined"
    return f"{p:.2g}" if p > 1e-300 else "below 1e-300"


def _p(p):
    text = _p_value(p)
    return f"p {text}" if text[0] in "ub" else f"p = {text}"


def _how_to_read(paired):
    lines = [
        "**The effect size says how large a difference is, the p-value how surprising the data would be if there "
        "were none.** With many rows a negligible difference has a tiny p; with few rows a large one need not.",
    ]
    if paired:
        lines.append(
            "The rank-biserial correlation is 0 when differences within pairs go both ways alike and 1 or -1 when "
            "all go one way. Positive: A is higher than B."
        )
    else:
        lines.append(
            "AUC: how often a random score of A exceeds a random score of B, ties counted half; 0.5 is no "
            "difference, 1 and 0 are complete separation. Below 0.5 B is the higher group, and the sentence at the top "
            "turns the pair round: 1 - AUC. Cliff's delta is the same on a scale of -1 to 1, Hedges' g the difference "
            "of the means in standard deviations."
        )
    lines += [
        "Tests of one pair may disagree, as they ask different questions. Rank tests (Mann–Whitney, Wilcoxon) ask "
        "which group tends to have the higher scores; t tests ask which has the higher mean, and a few huge scores can "
        "move that alone.",
        "Size, by the absolute Cliff's delta or rank-biserial correlation: below 0.147 negligible, below 0.33 small, "
        "below 0.474 medium, else large (Romano and others, 2006). Intervals are 95 % each, not corrected for the "
        "number of pairs.",
        "A score says how differently a language model sees two sequences. It is not a probability that a mutation is "
        "pathogenic, and groups can differ in it for reasons other than biology: the length or composition of the "
        "sequences, repeats, or the number of tokens a change touches.",
    ]
    return "\n".join(f"- {line}" for line in lines)
