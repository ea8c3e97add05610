"""How long a genome-wide scan takes, by chunk size: prints the table of scale.md. Run with any Python.

Jobs wait for a slot; Galaxy sends them off one after the other, and ends them one after the other.
"""

import heapq

VARIANTS = 10**8
# Measured, in seconds: see scale.md.
SUBMIT, FINISH, START = 0.3, 0.6, 4.3


def simulate(n_jobs: int, slots: int, job_seconds: float) -> float:
    """Seconds until the last of equal jobs has ended in Galaxy."""
    free = [0.0] * slots
    sent = ended = 0.0
    for _ in range(n_jobs):
        sent += SUBMIT
        done = max(sent, heapq.heappop(free)) + job_seconds
        heapq.heappush(free, done)
        ended = max(ended, done) + FINISH
    return ended


def main() -> None:
    print("| a variant | slots | in a chunk | jobs | slot-hours | hours | of them computing |")
    print("|---|---|---|---|---|---|---|")
    for per_variant, slots in ((0.0016, 64), (0.016, 64), (0.0016, 8)):
        for chunk in (10**3, 10**4, 10**5, 10**6):
            n_jobs, job = VARIANTS // chunk, START + chunk * per_variant
            hours = simulate(n_jobs, slots, job) / 3600
            computing = VARIANTS * per_variant / 3600
            row = f"{per_variant * 1000:g} ms", slots, f"{chunk:,}", f"{n_jobs:,}", f"{n_jobs * job / 3600:,.0f}"
            cells = *row, f"{hours:.1f}", f"{100 * computing / slots / hours:.0f} %"
            print("|", " | ".join(map(str, cells)), "|")


if __name__ == "__main__":
    main()
