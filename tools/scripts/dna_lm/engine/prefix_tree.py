"""Sequences as a tree of shared prefixes: what goes through a model together, each token once.

Knows tokens and positions, nothing of models. A causal model's output at a token depends on the tokens up to it alone,
so sequences that begin alike share what is computed before their first difference: a wild type and its mutant, or a
wild type and all of its mutants. The tree's edges are *segments*, runs of tokens without a branch. The tokens of all
segments form one row (*packed*), in which the tokens of one segment are neighbours.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

# A token attends to the keys of whole tiles, from the beginning of its sequence to the end of the tile that it is in.
# Its position alone decides how many these are, because matrix products of another size may round otherwise.
_TILE = 48
# The number of queries in an attention product is a multiple of this: few shapes, many segments in each.
_QUERY_STEP = 8
# At most this many keys are gathered at a time.
_MAX_KEYS = 2**16

Tokens = tuple[int, ...]


@dataclass
class _Segment:
    """The tokens [start, stop) of a sequence, which continue those of the `parent` segment."""

    sequence: Tokens
    start: int
    stop: int
    parent: "_Segment | None"
    depth: int = 0
    number: int = -1

    @property
    def length(self) -> int:
        """In tokens."""
        return self.stop - self.start


@dataclass(frozen=True)
class Part:
    """Neighbouring segments of one length and depth: numbers [first, last), packed tokens [start, stop).

    A segment that is longer than a slice comes in several parts, of which one `begins` it.
    """

    first: int
    last: int
    start: int
    stop: int
    begins: bool = True


@dataclass(frozen=True)
class AttentionGroup:
    """Attention of one shape: packed rows of queries and keys, int64 (items, queries) and (items, keys).

    `positions`: int64 (items,), of each item's first query. A query attends to the keys up to its own position;
    queries beyond an item's last are filling.
    """

    queries: np.ndarray
    keys: np.ndarray
    positions: np.ndarray


class PrefixTree:
    """The tree of `sequences`: distinct tuples of token ids, sorted when they are to share prefixes.

    Per token, packed: `ids`, `positions`, and `previous`, the row of the token before it in its sequence, or -1; int64
    (tokens,). Per segment, ordered by depth and length: `parents` (number, or -1), int64 (segments,), and `paths` (rows
    from the beginning of the sequence to the segment's end). Per sequence: `leaves`, the number of the segment that it
    ends with.

    Without `shared` every sequence is one segment.
    """

    shared: bool
    ids: np.ndarray
    positions: np.ndarray
    previous: np.ndarray
    parents: np.ndarray
    paths: list[np.ndarray]
    leaves: list[int]

    def __init__(self, sequences: Sequence[Tokens], shared: bool = True) -> None:
        self.shared = shared
        segments, leaves = _shared_segments(sequences) if shared else _separate_segments(sequences)
        segments.sort(key=lambda segment: (segment.depth, segment.length))
        for number, segment in enumerate(segments):
            segment.number = number
        self.leaves = [segment.number for segment in leaves]
        self.parents = np.array([-1 if segment.parent is None else segment.parent.number for segment in segments])
        self.ids = np.concatenate([segment.sequence[segment.start : segment.stop] for segment in segments])
        self.positions = np.concatenate([np.arange(segment.start, segment.stop) for segment in segments])
        self.previous = np.arange(len(self.ids)) - 1
        self.paths = []
        self._segments = segments
        row = 0
        for segment, parent in zip(segments, self.parents, strict=True):
            rows = np.arange(row, row + segment.length)
            self.paths.append(rows if parent < 0 else np.append(self.paths[parent], rows))
            self.previous[row] = -1 if parent < 0 else self.paths[parent][-1]
            row += segment.length

    def slices(self, max_tokens: int) -> Iterator[list[Part]]:
        """Lists of `Part`s that cover all tokens in packed order, at most `max_tokens` in a list."""
        parts, n_tokens = [], 0
        for part in self._parts(max_tokens):
            if parts and n_tokens + part.stop - part.start > max_tokens:
                yield parts
                parts, n_tokens = [], 0
            parts.append(part)
            n_tokens += part.stop - part.start
        yield parts

    def _parts(self, max_tokens: int) -> Iterator[Part]:
        number, row = 0, 0
        for (_, length), run in groupby(self._segments, key=lambda segment: (segment.depth, segment.length)):
            end = number + sum(1 for _ in run)
            while number < end:
                last = min(end, number + max(1, max_tokens // length))
                stop = row + (last - number) * length
                for start in range(row, stop, max_tokens):
                    yield Part(number, last, start, min(start + max_tokens, stop), start == row)
                number, row = last, stop

    def attention_groups(self) -> tuple[list[AttentionGroup], np.ndarray]:
        """The groups of attention, and the place of each packed row among all groups' queries: int64 (tokens,).

        The queries of a group count row by row, one group after the other.
        """
        shapes = {}
        for segment in self._segments:
            start = segment.start
            while start < segment.stop:
                n_keys = (start // _TILE + 1) * _TILE
                stop = min(segment.stop, n_keys)
                n_queries = -(-(stop - start) // _QUERY_STEP) * _QUERY_STEP
                shapes.setdefault((n_queries, n_keys), []).append((self.paths[segment.number], start, stop))
                start = stop
        groups, places, offset = [], np.empty(len(self.ids), dtype=np.int64), 0
        for (n_queries, n_keys), items in shapes.items():
            queries = np.zeros((len(items), n_queries), dtype=np.int64)
            keys = np.zeros((len(items), n_keys), dtype=np.int64)
            for item, (path, start, stop) in enumerate(items):
                rows = path[start:stop]
                queries[item, : len(rows)] = rows
                keys[item, :stop] = path[:stop]
                # Padding is masked, but NaN or infinity would pass the mask: it repeats a key of the same sequence.
                keys[item, stop:] = path[0]
                places[rows] = offset + item * n_queries + np.arange(len(rows))
            positions = np.array([start for _, start, _ in items])
            step = max(1, _MAX_KEYS // n_keys)
            for first in range(0, len(items), step):
                part = slice(first, first + step)
                groups.append(AttentionGroup(queries[part], keys[part], positions[part]))
            offset += queries.size
        return groups, places


def shared_length(first: Tokens, second: Tokens) -> int:
    """Tokens that two sequences have in common at their beginning."""
    return len(os.path.commonprefix((first, second)))


def _shared_segments(sequences: Sequence[Tokens]) -> tuple[list[_Segment], list[_Segment]]:
    """The segments of the tree of sorted sequences, and the segment in which each sequence ends."""
    segments, leaves = [], []
    path, previous = [], ()
    for sequence in sequences:
        shared = shared_length(previous, sequence)
        while path and path[-1].start >= shared:
            path.pop()
        if path and path[-1].stop > shared:
            lower = path.pop()
            upper = _Segment(lower.sequence, lower.start, shared, lower.parent)
            lower.start, lower.parent = shared, upper
            segments.append(upper)
            path.append(upper)
        path.append(_Segment(sequence, shared, len(sequence), path[-1] if path else None))
        segments.append(path[-1])
        leaves.append(path[-1])
        previous = sequence
    for segment in sorted(segments, key=lambda segment: segment.start):
        segment.depth = 0 if segment.parent is None else segment.parent.depth + 1
    return segments, leaves


def _separate_segments(sequences: Sequence[Tokens]) -> tuple[list[_Segment], list[_Segment]]:
    """One segment for each sequence, twice: as the segments of a tree, and as the sequences' ends."""
    segments = [_Segment(sequence, 0, len(sequence), None) for sequence in sequences]
    return list(segments), segments
