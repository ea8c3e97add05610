"""An evaluation in words: a Markdown report whose first sentence says whether the score beats the best baseline.

Knows the results of `evaluation`, but no files. Whatever a user typed or a table had passes through `inert`.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from dna_lm.estimates import Estimate
from dna_lm.evaluate.baselines import DESCRIPTIONS
from dna_lm.evaluate.evaluation import ALL, BASELINE, SCORE, Comparison, Evaluation, Line
from dna_lm.galaxy import FILES, Page
from dna_lm.outputs.markdown import (
    MAX_TITLE,
    Blocks,
    fitting,
    inert,
    limited,
    p_text,
    p_value_text,
    settings_list,
    table,
)

ALPHA = 0.05
# Bytes of a name from a table.
MAX_NAME = 120

TESTS = {
    "delong": "paired DeLong test",
    "bootstrap": "paired bootstrap",
    "cluster bootstrap": "paired bootstrap of clusters",
}


def write_report(
    found: Evaluation, *, title: str, plot: str | None, settings: Mapping[str, str], page: Page = FILES
) -> str:
    """The report as Markdown, short enough for Galaxy. plot: from `markdown.plot_block`; settings: name to value."""
    lines = found.of_stratum(ALL)
    models = sorted((line for line in lines if line.column.kind != BASELINE), key=_rank)
    lead = min((line for line in models if line.column.kind == SCORE), key=_rank)

    def compose(rows: int) -> Blocks:
        blocks = [f"# {inert(limited(title or 'Evaluation of mutation scores', MAX_TITLE))}", _finding(found, lead)]
        others = [line for line in models if line is not lead and not math.isnan(line.fit.main.value)]
        if others:
            blocks.append("\n".join(f"- {_short_finding(found, line)}" for line in others[:rows]))
        blocks += _which_rows(found, lines[0], rows)
        blocks += _warnings(found, models)
        if plot:
            blocks += ["## Plot", plot]
        blocks += ["## Metrics", _metrics_table(found, models, lines, rows)]
        blocks += page.table("metrics", "Every number of every score and stratum")
        if found.comparisons:
            blocks += ["## Comparisons on the same rows", _comparison_table(found, rows)]
        if found.strata is not None:
            blocks += ["## Strata", _strata_table(found, rows)]
        blocks += ["## How to read this", _how_to_read(found), "## Settings", settings_list(settings)]
        return blocks

    return fitting(compose, page)


def _rank(line: Line) -> float:
    return math.inf if math.isnan(line.fit.main.value) else -line.fit.main.value


def _name(text: str) -> str:
    return inert(limited(text, MAX_NAME))


def _metric(found: Evaluation) -> str:
    return "Spearman correlation" if found.is_measured else "AUROC"


def _interval(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "undefined"
    if math.isnan(estimate.low):
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


# --- the result in sentences -----------------------------------------------------------------------------------------


def _verdict(found: Evaluation, line: Line) -> str:
    """Of a score against the best baseline: better, worse, unclear or untested."""
    if math.isnan(line.p_corrected):
        return "untested"
    if line.p_corrected >= ALPHA:
        return "unclear"
    against = _against(found, line)
    return "better" if against and against.difference.value > 0 else "worse"


def _against(found: Evaluation, line: Line) -> Comparison | None:
    return next(
        (one for one in found.comparisons if one.stratum == ALL and one.a is line.column and one.b.kind == BASELINE),
        None,
    )


def _finding(found: Evaluation, lead: Line) -> str:
    """The first sentence: the best score against the best baseline."""
    name, against = f"**{_name(lead.column.name)}**", _against(found, lead)
    if against is None:
        return f"Nothing was computed for {name}: {lead.note}."
    does = "follows the measured effect" if found.is_measured else "separates positive from negative rows"
    verdict = _verdict(found, lead)
    if verdict in ("better", "worse"):
        opening = f"{name} {does} {verdict} than the best baseline"
    elif verdict == "unclear":
        opening = f"{name} is not clearly better than the best baseline"
    else:
        opening = f"Whether {name} is better than the best baseline cannot be tested"
        opening += f" ({lead.note})" if lead.note else ""
    metric = _metric(found)
    counts = f"n = {lead.n:,}"
    if not found.is_measured:
        counts = f"n = {lead.n_positive:,} positive and {lead.n_negative:,} negative rows"
    text = (
        f"{opening}: {metric} {_interval(lead.fit.main)} against {_interval(against.fits[1].main)} of "
        f"**{_name(against.b.name)}**{' (constant: chance)' if against.fits[1].is_constant else ''}"
    )
    if verdict != "untested":
        text += f"; difference {_interval(against.difference)}, {TESTS[against.test]} {p_text(against.p)}"
        if against.n_in_family > 1:
            text += f" (Holm-corrected over {against.n_in_family} scores: {p_text(against.p_corrected)})"
    return f"{text}; {counts}."


def _short_finding(found: Evaluation, line: Line) -> str:
    verdict = _verdict(found, line)
    words = {"unclear": "not clearly better than the best baseline", "untested": "not tested"}
    verdict = words.get(verdict, f"{verdict} than the best baseline")
    p = "" if math.isnan(line.p_corrected) else f", corrected {p_text(line.p_corrected)}"
    return f"{_name(line.column.name)}: {_interval(line.fit.main)}; {verdict}{p}"


def _which_rows(found: Evaluation, line: Line, rows: int) -> Blocks:
    text = f"{line.n:,} of {len(found.reasons):,} rows were used"
    if not found.is_measured and line.n:
        text += f" (prevalence of positive rows {line.n_positive / line.n:.3g})"
    reasons = Counter(reason for reason in found.reasons if reason).most_common()
    if reasons:
        listed = [f"{_name(reason)}: {number:,}" for reason, number in reasons[:rows]]
        if len(reasons) > rows:
            listed.append(f"{len(reasons) - rows} other reasons: see the rows table")
        text += f". Left out: {'; '.join(listed)}"
    return [f"{text}. Every score and baseline is evaluated on the same rows."]


def _warnings(found: Evaluation, models: Sequence[Line]) -> Blocks:
    blocks = []
    chance = 0 if found.is_measured else 0.5
    wrong = [line for line in models if line.fit.main.high < chance]
    if wrong:
        names = ", ".join(_name(line.column.name) for line in wrong[:5])
        blocks.append(
            f"**Below chance: {names}.** The score points the other way than its direction says. Check which labels "
            "are positive. A direction that was chosen because these labels suggest it would make any score look good."
        )
    constant = [line.column.name for line in models if line.fit.is_constant]
    if constant:
        blocks.append(f"Constant, so it cannot tell rows apart: {', '.join(map(_name, constant[:5]))}.")
    if found.missing_baselines:
        names = ", ".join(map(_name, found.missing_baselines))
        blocks.append(f"Baselines that some of these rows do not have, left out: {names}.")
    if found.n_clusters and found.n_clusters < 20:
        blocks.append(
            f"The rows are in {found.n_clusters} clusters. With fewer than about 20, the intervals of a bootstrap of "
            "clusters tend to be too narrow."
        )
    return blocks


# --- tables ----------------------------------------------------------------------------------------------------------


def _metrics_table(found: Evaluation, models: Sequence[Line], lines: Sequence[Line], rows: int) -> str:
    baselines = sorted((line for line in lines if line.column.kind == BASELINE), key=_rank)
    shown = [*models[:rows], *baselines]
    texts = [[_name(line.column.name), line.column.kind, line.column.direction] for line in shown]
    if found.is_measured:
        header = ["Score", "Kind", "Direction", "Spearman (95 %)", "Pearson"]
        numbers = [[_interval(line.fit.main), _plain(line.fit.pearson)] for line in shown]
    else:
        header = [
            "Score",
            "Kind",
            "Direction",
            "AUROC (95 %)",
            "Average precision (95 %)",
            "Sensitivity at 95 % specificity",
        ]
        numbers = [
            [_interval(line.fit.main), _interval(line.fit.average_precision), _plain(line.fit.sensitivities[1])]
            for line in shown
        ]
    cells = [[*text, *number] for text, number in zip(texts, numbers, strict=True)]
    return table(header, cells, 3, len(models) + len(baselines), "metrics")


def _plain(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _comparison_table(found: Evaluation, rows: int) -> str:
    of_all = [one for one in found.comparisons if one.stratum == ALL]
    header = ["A", "B", f"Difference of {_metric(found)} (95 %)", "p", "p corrected"]
    cells = [
        [
            _name(one.a.name),
            _name(one.b.name) + (" (best baseline)" if one.b.kind == BASELINE else ""),
            _interval(one.difference),
            p_value_text(one.p),
            p_value_text(one.p_corrected),
        ]
        for one in of_all[:rows]
    ]
    return table(header, cells, 2, len(of_all), "comparisons")


def _strata_table(found: Evaluation, rows: int) -> str:
    lines = [line for line in found.lines if line.stratum != ALL and line.column.kind == SCORE]
    header = ["Stratum", "Score", f"{_metric(found)} (95 %)", "Rows", "Left out", "Best baseline", "p"]
    cells = []
    for line in lines[:rows]:
        counts = f"{line.n:,}" if found.is_measured else f"{line.n_positive:,} + {line.n_negative:,}"
        metric = "too few rows" if line.note.startswith("too few:") else _interval(line.fit.main)
        names = [_name(line.stratum), _name(line.column.name)]
        test = [_name(line.best_baseline), "" if math.isnan(line.p) else p_value_text(line.p)]
        cells.append([*names, metric, counts, f"{line.n_left_out:,}", *test])
    return table(header, cells, 2, len(lines), "metrics")


def _how_to_read(found: Evaluation) -> str:
    if found.is_measured:
        lines = [
            "Spearman: the correlation of ranks. It is 1 when the score orders the rows as the measurement does, and 0 "
            "by chance. Each score and the measurement are turned so that a larger number means a larger effect."
        ]
    else:
        lines = [
            "AUROC: how often a random positive row has a more positive score than a random negative row, ties counted "
            "half. 0.5 is chance, whatever the prevalence.",
            "Average precision: the mean precision over the positive rows, from the top of the ranking. Chance is the "
            "prevalence, so it cannot be compared between sets of rows with different prevalence.",
            "Sensitivity at 95 %: the share of positive rows found when 95 % of the negative rows are below the "
            "threshold.",
        ]
    lines += [
        "Direction: *up*, a larger number points to the positive label (a larger effect); *down*, a smaller one does. "
        "It comes from the score's meaning or from you, never from the labels.",
        "Baselines need no model: "
        + "; ".join(f"{inert(name)}, {text}" for name, text in DESCRIPTIONS.items())
        + ". The best of them is chosen with the labels, which favours the baselines.",
        "A score can only be as good as the labels. Classifications that used computed predictions or allele "
        "frequencies favour scores that resemble these.",
    ]
    return "\n".join(f"- {line}" for line in lines)
