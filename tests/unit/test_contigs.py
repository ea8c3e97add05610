"""Names of chromosomes in their styles."""

import pytest

from dna_lm.contigs import key, matched


@pytest.mark.parametrize(
    ("names", "known", "expected"),
    [
        (["chr1", "chr2"], ["1", "2"], {"chr1": "1", "chr2": "2"}),
        (["1", "MT"], ["chr1", "chrM"], {"1": "chr1", "MT": "chrM"}),
        (["M", "CHRX"], ["MT", "x", "X"], {"M": "MT", "CHRX": "X"}),
        (["1"], ["1", "chr1"], {"1": "1"}),
        (["1", "chr1"], ["chr1"], {"chr1": "chr1"}),
        (["Chr1"], ["1", "chr1"], {}),
        (["23", "26"], ["chrX", "chrM"], {"23": "chrX", "26": "chrM"}),
        (["23", "X"], ["chrX"], {"X": "chrX"}),
        (["23", "chr23"], ["X"], {}),
        (["23"], ["chr23", "X"], {"23": "chr23"}),
        (["chr", "scaffold_1"], ["chr", "1"], {"chr": "chr"}),
        (["2", "2"], ["chr2", "chr2"], {"2": "chr2"}),
    ],
)
def test_names_are_matched_where_the_styles_are_one_to_one(names, known, expected):
    assert matched(names, known) == expected


def test_a_name_without_its_style():
    assert {key(name) for name in ("M", "MT", "chrM", "ChrMt")} == {"MT"}
    assert [key(name) for name in ("chr1", "1", "chrUn_GL000219v1", "chr")] == ["1", "1", "Un_GL000219v1", "chr"]
