"""Sequences as a tree of shared prefixes: what goes through a model together, each token once.

Knows tokens and positions, nothing of models. A causal model's output at a token depends on the tokens up to it alone,
so sequences that begin alike share what is computed before their first difference: a wild type and its mutant, or a
wild type and all of its mutants. The tree's edges are *segments*, runs of tokens without a branch. The tokens of all
segments form one row (*packed*), in which the tokens of one segment are neighbours.
"""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress, count, groupby, pairwise

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
    """Attention of one shape: items with up to `n_queries` queries, and `n_keys` keys, each.

    `items`, int64 (4, items): the packed row of the first query, its position, the position after the last query, and
    where the path of their segment begins in `PrefixTree.path_rows`. The keys are the beginning of that path; a query
    attends to those up to its own position.
    """

    n_queries: int
    n_keys: int
    items: np.ndarray


class PrefixTree:
    """The tree of `sequences`: distinct tuples of token ids, sorted when they are to share prefixes.

    Per token, packed: `ids`, `positions`, and `previous`, the row of the token before it in its sequence, or -1; int64
    (tokens,). Per segment, ordered by depth and length: `parents` (number, or -1) and `first_rows`, int64 (segments,),
    and `paths`, rows from the beginning of the sequence to the segment's end (`path_rows` has them one after the
    other). Per sequence: `leaves`, the number of the segment that it ends with, `ends`, the row of its last token, and
    `lengths`; int64 (sequences,).

    Without `shared` every sequence is one segment.
    """

    shared: bool
    ids: np.ndarray
    positions: np.ndarray
    previous: np.ndarray
    parents: np.ndarray
    first_rows: np.ndarray
    path_rows: np.ndarray
    leaves: np.ndarray
    ends: np.ndarray
    lengths: np.ndarray

    def __init__(self, sequences: Sequence[Tokens], shared: bool = True) -> None:
        self.shared = shared
        segments, leaves = _shared_segments(sequences) if shared else _separate_segments(sequences)
        segments.sort(key=lambda segment: (segment.depth, segment.length))
        for number, segment in enumerate(segments):
            segment.number = number
        self.leaves = np.array([segment.number for segment in leaves])
        self.parents = np.array([-1 if segment.parent is None else segment.parent.number for segment in segments])
        self._starts, self._stops, self._depths = np.array([(s.start, s.stop, s.depth) for s in segments]).T
        lengths = self._stops - self._starts
        self.first_rows = lengths.cumsum() - lengths
        last_rows = self.first_rows + lengths - 1
        tokens = chain.from_iterable(segment.sequence[segment.start : segment.stop] for segment in segments)
        self.ids = np.fromiter(tokens, np.int64, lengths.sum())
        self.positions = np.repeat(self._starts, lengths) + _ramps(lengths)
        self.previous = np.arange(len(self.ids)) - 1
        self.previous[self.first_rows] = np.where(self.parents < 0, -1, last_rows[self.parents])
        self.ends, self.lengths = last_rows[self.leaves], self._stops[self.leaves]
        self._path_starts = self._stops.cumsum() - self._stops
        self.path_rows = self._all_paths(lengths)

    def _all_paths(self, lengths: np.ndarray) -> np.ndarray:
        rows = np.empty(self._stops.sum(), dtype=np.int64)
        rows[np.repeat(self._path_starts + self._starts, lengths) + _ramps(lengths)] = np.arange(len(self.ids))
        # Those of one depth are neighbours; what is before them is a part of the paths of lesser depth.
        for first, last in self.depths()[1:]:
            lengths = self._starts[first:last]
            paths, of_parents = self._path_starts[first:last], self._path_starts[self.parents[first:last]]
            ramps = _ramps(lengths)
            rows[np.repeat(paths, lengths) + ramps] = rows[np.repeat(of_parents, lengths) + ramps]
        return rows

    def depths(self) -> list[tuple[int, int]]:
        """The segments of each depth, from 0: numbers [first, last)."""
        bounds = np.searchsorted(self._depths, np.arange(self._depths[-1] + 2)).tolist()
        return list(pairwise(bounds))

    @cached_property
    def paths(self) -> list[np.ndarray]:
        """Rows from the beginning of the sequence to the end of each segment."""
        return np.split(self.path_rows, self._path_starts[1:])

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
        shapes = zip(self._depths.tolist(), (self._stops - self._starts).tolist(), strict=True)
        for (_, length), run in groupby(shapes):
            end = number + sum(1 for _ in run)
            while number < end:
                last = min(end, number + max(1, max_tokens // length))
                stop = row + (last - number) * length
                for start in range(row, stop, max_tokens):
                    yield Part(number, last, start, min(start + max_tokens, stop), start == row)
                number, row = last, stop

    def attention_groups(self) -> tuple[list[AttentionGroup], np.ndarray]:
        """The groups of attention, and the place of each packed row among all groups' queries: int64 (tokens,).

        The queries of a group count item by item, `n_queries` each, one group after the other.
        """
        first_tiles = self._starts // _TILE
        n_tiles = (self._stops - 1) // _TILE - first_tiles + 1
        segments = np.repeat(np.arange(len(n_tiles)), n_tiles)
        n_keys = (first_tiles[segments] + _ramps(n_tiles) + 1) * _TILE
        starts = np.maximum(self._starts[segments], n_keys - _TILE)
        stops = np.minimum(self._stops[segments], n_keys)
        n_queries = -(-(stops - starts) // _QUERY_STEP) * _QUERY_STEP
        rows = self.first_rows[segments] + starts - self._starts[segments]
        _, firsts, shapes = np.unique(n_keys * (_TILE + 1) + n_queries, return_index=True, return_inverse=True)
        # Items of one shape, in the order in which the shapes come first.
        order = np.argsort(firsts[shapes], kind="stable")
        n_queries, n_keys = n_queries[order], n_keys[order]
        items = np.stack([rows, starts, stops, self._path_starts[segments]])[:, order]
        lengths = (stops - starts)[order]
        places, ramps = np.empty(len(self.ids), dtype=np.int64), _ramps(lengths)
        places[np.repeat(items[0], lengths) + ramps] = np.repeat(n_queries.cumsum() - n_queries, lengths) + ramps
        groups, first = [], 0
        for n_items in np.bincount(shapes)[np.argsort(firsts)]:
            for start in range(first, first + n_items, step := max(1, _MAX_KEYS // n_keys[first])):
                part = items[:, start : min(start + step, first + n_items)]
                groups.append(AttentionGroup(int(n_queries[first]), int(n_keys[first]), part))
            first += n_items
        return groups, places


def _ramps(lengths: np.ndarray) -> np.ndarray:
    """0, 1, ... up to each length, one after the other: int64 (sum of the lengths,)."""
    return np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)


def shared_length(first: Tokens, second: Tokens) -> int:
    """Tokens that two sequences have in common at their beginning."""
    return next(compress(count(), map(operator.ne, first, second)), min(len(first), len(second)))


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
