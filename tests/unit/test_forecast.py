"""The time that a job is said to take, for jobs whose true time is known."""

import re

import pytest

from dna_lm.engine.encoder import Budget
from dna_lm.inputs.fasta import Record
from dna_lm.scoring.forecast import Checked, Forecast, _duration
from dna_lm.scoring.pipeline import Item, Single

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 24 * 3600}


def pair(n_bases, n_more=0):
    return Item(None, Record("", "A" * n_bases, "ok"), Record("", "A" * (n_bases + n_more), "ok"))


class Job:
    """A job whose model reads a base in `seconds`, three bases in a token, in portions of `size` items."""

    def __init__(self, items, seconds, size=512, n_passes=1, is_known=True):
        self.items, self.seconds, self.size, self.n_passes = items, seconds, size, n_passes
        self.now, self.budget, self.at = 0.0, Budget(), []
        n_bases = sum(len(record.sequence) for item in items for record in item.records)
        checked = Checked(False, len(items), n_bases) if is_known else Checked(False)
        self.forecast = Forecast(checked, self.budget, n_passes, lambda: self.now)

    def run(self, caplog):
        """Returns the messages, each with the time when it came, and the time that the job took."""
        caplog.set_level("INFO", logger="dna_lm.scoring.forecast")
        portion = []
        for item in self.forecast.watch(self.items):
            self._note(caplog)
            portion.append(item)
            if len(portion) == self.size:
                self._compute(portion, caplog)
                portion = []
        self._compute(portion, caplog)
        return self.at, self.now

    def _compute(self, portion, caplog):
        for _ in range(self.n_passes):
            self.budget.given += sum(len(record.sequence) for item in portion for record in item.records) // 3
            for done, item in enumerate(portion, 1):
                self.now += self.seconds * sum(len(record.sequence) for record in item.records)
                if self.budget.watcher and done % 16 == 0:
                    self.budget.watcher(done / len(portion))
                self._note(caplog)

    def _note(self, caplog):
        for message in caplog.messages[len(self.at) :]:
            self.at.append((self.now, message))


def seconds_in(message):
    number, unit = re.search(r"about (\d+) (second|minute|hour|day)s? ", message).groups()
    return int(number) * SECONDS[unit]


@pytest.mark.parametrize("n_passes", [1, 2])
@pytest.mark.parametrize("items", [[pair(201)] * 40_000, [pair(50 + n % 300, n % 5) for n in range(40_000)]])
def test_the_rest_takes_about_as_long_as_is_said(caplog, items, n_passes):
    messages, took = Job(items, 1e-4, n_passes=n_passes).run(caplog)
    assert took > 600
    left = [(at, message) for at, message in messages if " left for 40,000 records, " in message]
    assert 3 <= len(left) <= 6
    for at, message in left:
        assert seconds_in(message) == pytest.approx(took - at, rel=0.1)
    rate = re.search(r"about ([0-9,]+) tokens at about ([0-9,]+) tokens a second", left[-1][1])
    n_tokens, per_second = (float(number.replace(",", "")) for number in rate.groups())
    assert per_second == pytest.approx(1e4 / 3 / n_passes * n_passes, rel=0.1)
    assert n_tokens / per_second == pytest.approx(took, rel=0.1)


@pytest.mark.parametrize("n_passes", [1, 2])
def test_a_long_first_portion_has_a_lower_bound(caplog, n_passes):
    """It comes after some batches, long before the first portion has ended."""
    messages, took = Job([pair(6000)] * 800, 1e-4, n_passes=n_passes).run(caplog)
    at, first = messages[0]
    assert at < took / 20
    assert first.startswith("at least about") and first.endswith("for 800 records")
    assert seconds_in(first) == pytest.approx(took, rel=0.1)


def test_more_passes_than_are_known_leave_it_a_lower_bound(caplog):
    job = Job([pair(6000)] * 800, 1e-4, n_passes=3)
    job.forecast._n_passes = 1
    messages, took = job.run(caplog)
    bounds = [seconds_in(message) for _, message in messages if message.startswith("at least")]
    assert bounds
    assert max(bounds) <= 1.01 * took


def test_a_short_job_says_nothing(caplog):
    assert Job([pair(201)] * 4000, 1e-5).run(caplog)[0] == []


def test_an_input_of_unknown_length_says_so(caplog):
    messages, _ = Job([pair(201)] * 40_000, 1e-4, is_known=False).run(caplog)
    assert messages
    for _, message in messages:
        assert re.fullmatch(
            r"\d+ records done, about [0-9,]+ tokens a second; it is not known how many there are", message
        )


def test_records_to_embed_are_counted_once(caplog):
    messages, took = Job([Single(Record("", "ACGT" * 50, "ok"))] * 40_000, 1e-4).run(caplog)
    for at, message in messages:
        assert seconds_in(message) == pytest.approx(took - at, rel=0.1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "about 1 second"),
        (89, "about 89 seconds"),
        (90, "about 2 minutes"),
        (2400, "about 40 minutes"),
        (5 * 3600, "about 5 hours"),
        (60 * 3600, "about 2 days"),
    ],
)
def test_a_duration_is_one_number(seconds, text):
    assert _duration(seconds) == text
