"""Portions of a stream of items: as many as fill batches of each length, as few as memory holds."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from dna_lm.inputs.fasta import Record

# Enough items to fill batches of each length, which are larger on a GPU. The embeddings of a portion are held together,
# and in float64 for the distances: about 50 MB for 512 pairs with 4,096 logits each.
_ITEMS = {"cpu": 512, "cuda": 2048}
_BASES = 2**21
# Lines of a VCF with many genotypes are long, and wait with their alleles.
_CARRIED = 2**26


class Countable(Protocol):
    """An item of `pipeline`: the records that the model reads, and the bytes that its payload takes."""

    @property
    def records(self) -> Sequence[Record]: ...

    @property
    def carried(self) -> int: ...


Given = TypeVar("Given", bound=Countable)


def portions(items: Iterable[Given], device_type: str) -> Iterator[list[Given]]:
    """Lists of consecutive items, bounded in number, in bases and in what their payloads carry.

    device_type: that of the device which computes.
    """
    most_items = _ITEMS.get(device_type, _ITEMS["cpu"])
    portion, n_bases, n_carried = [], 0, 0
    for item in items:
        portion.append(item)
        n_bases += sum(len(record.sequence) for record in item.records)
        n_carried += item.carried
        if len(portion) == most_items or n_bases >= _BASES or n_carried >= _CARRIED:
            yield portion
            portion, n_bases, n_carried = [], 0, 0
    if portion:
        yield portion
