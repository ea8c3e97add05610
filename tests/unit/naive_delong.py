"""DeLong's method written out, against which the suite's is tested."""

import itertools

import numpy as np


def naive_delong(scores, labels):
    """AUROCs and their covariance after DeLong et al. 1988, with the n_positive x n_negative comparisons."""
    kernels = []
    for score in scores:
        positive, negative = score[labels], score[~labels]
        kernels.append([[(x > y) + 0.5 * (x == y) for y in negative] for x in positive])
    kernels = np.array(kernels, dtype=float)
    of_positive, of_negative = kernels.mean(axis=2), kernels.mean(axis=1)
    covariance = np.empty((len(scores), len(scores)))
    for i, j in itertools.product(range(len(scores)), repeat=2):
        total = 0.0
        for part in (of_positive, of_negative):
            a, b = part[i], part[j]
            total += ((a - a.mean()) * (b - b.mean())).sum() / (len(a) - 1) / len(a)
        covariance[i, j] = total
    return kernels.mean(axis=(1, 2)), covariance
