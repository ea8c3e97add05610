"""Lines of text files: the same whatever the compression, the line ends and the way in, or refused; pipes."""

import gzip
import os
import random
import struct
import subprocess
import sys
import threading
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import TEST_DATA, read_table
from dna_lm import pipes
from dna_lm.errors import UserError
from dna_lm.inputs import compression, fasta, text, vcf

EMPTY_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def block(content):
    """One block of a bgzip file, by the SAM specification, section 4.1."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    header = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(packed) + 25)
    return header + packed + struct.pack("<II", zlib.crc32(content), len(content))


def blocks_of(content, size=65_280):
    return [block(content[at : at + size]) for at in range(0, len(content), size)]


def records(n, seed=1):
    """A FASTA file of records of 201 bases."""
    letters = random.Random(seed)
    return "".join(f">r{at}\n{''.join(letters.choices('ACGT', k=201))}\n" for at in range(n)).encode()


def lines_of(path, content):
    path.write_bytes(content)
    return list(text.lines(path, "X"))


def test_a_cut_between_blocks_is_refused_and_a_whole_file_without_its_end_is_read(tmp_path, caplog):
    content = records(1000)
    expected = content.decode().splitlines(keepends=True)
    blocks = blocks_of(content)
    assert len(blocks) == 4
    path = tmp_path / "x.gz"
    assert lines_of(path, b"".join(blocks) + EMPTY_BLOCK) == expected and not caplog.text
    assert lines_of(path, b"".join(blocks)) == expected
    assert "X: the bgzip file has no end block. It is read as whole, with 2000 lines" in caplog.text
    for n_left in (1, 2, 3):
        with pytest.raises(UserError, match=r"X: the bgzip file is cut short after line \d+: upload it again"):
            lines_of(path, b"".join(blocks[:n_left]))
    with pytest.raises(UserError, match="cut short"):
        list(fasta.read_fasta(path))


def test_a_cut_at_a_line_end_is_seen_by_the_full_block(tmp_path):
    """As programs write that begin a block with a line: the text before a cut always ends well."""
    lines = [f"c\t{at}\t{at + 1}\tx\n".encode() for at in range(20_000)]
    blocks, waiting = [], b""
    for line in lines:
        if len(waiting) + len(line) > 65_280:
            blocks.append(block(waiting))
            waiting = b""
        waiting += line
    path = tmp_path / "x.bed.gz"
    for n_left in range(1, len(blocks) + 1):
        with pytest.raises(UserError, match="cut short"):
            lines_of(path, b"".join(blocks[:n_left]))
    assert len(lines_of(path, b"".join([*blocks, block(waiting)]))) == 20_000


@given(st.data())
def test_every_way_to_write_a_file_gives_its_lines_or_is_refused(tmp_path_factory, data):
    """Line ends, a mark at the beginning, gzip in one part or several, bgzip; then cut anywhere."""
    cells = st.text("ACGT>\t é0", max_size=12)
    lines = data.draw(st.lists(cells, min_size=1, max_size=30))
    lines[0] = lines[0] or "x"
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    content = data.draw(st.sampled_from(["", "\ufeff"])) + "".join(line + end for line in lines)
    content = content.encode()
    size = data.draw(st.integers(1, len(content)))
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    packed = data.draw(st.sampled_from(["plain", "gzip", "parts", "bgzip"]))
    made = {
        "plain": [content],
        "gzip": [gzip.compress(content)],
        "parts": list(map(gzip.compress, parts)),
        "bgzip": [*map(block, parts), EMPTY_BLOCK],
    }[packed]
    path = tmp_path_factory.mktemp("x") / "x"
    for keep_ends in (False, True):
        path.write_bytes(b"".join(made))
        found = list(text.lines(path, "X", keep_ends=keep_ends))
        assert found == [line + ("\r\n" if keep_ends and end == "\r\n" else "\n") for line in lines]
    if packed == "plain":
        return
    whole = b"".join(made)
    path.write_bytes(whole[: data.draw(st.integers(1, len(whole) - 1))])
    try:
        cut = list(text.lines(path, "X"))
    except UserError:
        return
    # A cut that no reader can see: after the first byte of gzip, in one part of several, or between two at a line end.
    n_bytes = path.stat().st_size
    assert n_bytes == 1 or (packed == "parts" and n_bytes == len(made[0])) or packed in ("parts", "bgzip")
    if n_bytes != 1 and n_bytes != len(made[0]):
        assert cut == [f"{line}\n" for line in lines][: len(cut)]


def test_a_gzip_file_of_several_parts_is_read_whole_and_not_without_its_last_lines_end(tmp_path):
    parts = [gzip.compress(part) for part in (b"a\nb", b"c\nd\n")]
    assert lines_of(tmp_path / "x", b"".join(parts)) == ["a\n", "bc\n", "d\n"]
    assert lines_of(tmp_path / "x", gzip.compress(b"a\nb")) == ["a\n", "b"]
    with pytest.raises(UserError, match="line 2 has no line end and the gzip file has several parts"):
        lines_of(tmp_path / "x", gzip.compress(b"a\n") + gzip.compress(b"b"))


def test_bytes_that_are_not_utf_8_stay_apart(tmp_path):
    assert lines_of(tmp_path / "x", b"\xe9 \xe8 \xc3\xa9\n") == ["\\xe9 \\xe8 é\n"]
    kept = next(text.lines(tmp_path / "x", "X", "surrogateescape"))
    assert kept.encode("utf-8", "surrogateescape") == b"\xe9 \xe8 \xc3\xa9\n"


def test_blocks_are_those_of_bgzip():
    with open(TEST_DATA / "reference.fasta.gz", "rb") as handle:
        found = list(compression.blocks(handle))
    assert sum(n_bytes for _, n_bytes in found) == (TEST_DATA / "reference.fasta").stat().st_size
    assert found[0][0] == 0 and found[-1][1] == 0


# --- pipes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe(tmp_path):
    """Makes a named pipe, into which a thread writes once."""
    threads = []

    def make(name, content):
        path = tmp_path / name
        os.mkfifo(path)
        threads.append(threading.Thread(target=path.write_bytes, args=(content,), daemon=True))
        threads[-1].start()
        return path

    yield make
    pipes.remove_copies()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_pipe_is_read_once_and_used_as_often_as_wanted(pipe):
    content = records(500)
    path = pipe("x", gzip.compress(content))
    for _ in range(2):
        assert [record.id for record in fasta.read_fasta(path)] == [f"r{n}" for n in range(500)]
    copy = pipes.regular(path)
    assert os.path.isfile(copy)
    pipes.remove_copies()
    assert not os.path.exists(os.path.dirname(copy))


@pytest.mark.cpu
def test_a_job_of_pipes_is_the_job_of_their_files(run_script, pipe, tmp_path):
    files = {"--variants": "variants_sorted.vcf.gz", "--reference": "reference.fasta", "--regions": "regions.bed"}
    tables = []
    for of in (lambda name: TEST_DATA / name, lambda name: pipe(name, (TEST_DATA / name).read_bytes())):
        inputs = [part for option, name in files.items() for part in (option, of(name))]
        model = TEST_DATA / "models" / "demo-mixtral"
        done = run_script("score_variants.py", "--model", model, *inputs, "--output", "out.tsv", "--window", 31)
        assert done.returncode == 0, done.stderr
        tables.append(read_table(tmp_path / "out.tsv"))
    assert tables[0] == tables[1] and {row["region"] for row in tables[0]} > {"exon"}


def test_a_table_comes_through_a_pipe_and_goes_out_through_another(tmp_path, pipe):
    """The first 64 kB of the input are less than it; what was in the output's file stays there."""
    table = "id\tl2\n" + "".join(f"r{n}\t{n}\n" for n in range(20_000))
    (tmp_path / "out").write_text("before\n")
    script = TEST_DATA.parent / "tools" / "scripts" / "collapse.py"
    with open(tmp_path / "out", "a") as out:
        command = [sys.executable, script, "--tables", "/dev/stdin", "--output", "/dev/stdout"]
        subprocess.run(command, input=table.encode(), stdout=out, check=True, stderr=subprocess.DEVNULL, timeout=60)
    assert (tmp_path / "out").read_text() == "before\n" + table
    through = subprocess.run(command, input=table.encode(), capture_output=True, check=True, timeout=60)
    assert through.stdout.decode() == table


# --- VCF that others accept -----------------------------------------------------------------------------------------

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LINES = "c\t5\tx\tA\tC\t.\t.\tDP=1\nc\t6\t.\tC\tG,<DEL>\t.\t.\t.\n"


def read(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    header = []
    lines = list(vcf.read_lines(path, header))
    assert vcf.is_vcf(path)
    return header, lines


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (HEADER + LINES, ""),
        ("\ufeff" + HEADER + LINES, ""),
        ((HEADER + LINES).replace("\n", "\r"), ""),
        ((HEADER + LINES).rstrip("\n"), "the last line, 4, has no line end"),
        (HEADER.split("\n", 1)[1] + LINES, "its header has no line ##fileformat"),
        ("##source=x\n" + HEADER + LINES + "\n\n \n", ""),
        ("\n" + HEADER + LINES.replace("\n", "\n##late=1\n", 1), "1 line after the header that begin with # are"),
        (HEADER + LINES.replace("\n", "\n" + HEADER, 1), "2 lines after the header"),
        (HEADER + LINES.replace("\n", "\n# a comment\n#c\t5\n", 1), "2 lines after the header"),
    ],
)
def test_a_vcf_that_others_accept_is_read(tmp_path, caplog, content, warning):
    header, lines = read(tmp_path / "x.vcf", content)
    assert [line.text for line in lines] == LINES.splitlines(keepends=True)
    assert warning in caplog.text and bool(warning) == bool(caplog.text)
    written = vcf.header_with(header, [], "X", {})
    assert written[0].startswith("##fileformat=VCFv4.2") and written[-1] == HEADER.splitlines(keepends=True)[-1]
    assert sum(line.startswith("##fileformat") for line in written) == 1


def test_columns_after_alt_may_be_missing(tmp_path):
    for n_columns in (5, 6, 7):
        rows = [line.split("\t")[:n_columns] for line in (HEADER.splitlines()[1] + "\n" + LINES).splitlines()]
        content = HEADER.splitlines()[0] + "\n" + "".join("\t".join(row) + "\n" for row in rows)
        header, lines = read(tmp_path / "x.vcf", content)
        assert header[-1] == HEADER.splitlines(keepends=True)[-1]
        assert lines[0].text == "c\t5\tx\tA\tC\t.\t.\t.\n"
        assert vcf.line_with(lines[0], {"X_L2": ["1"]}) == "c\t5\tx\tA\tC\t.\t.\tX_L2=1\n"


def test_a_table_is_not_a_vcf(tmp_path):
    for content in ("#CHROM\tPOS\tREF\tALT\tlabel\n", "id\tlabel\n", "#chrom\tpos\n", ""):
        (tmp_path / "x").write_text(content)
        assert not vcf.is_vcf(tmp_path / "x")


def test_a_bad_line_keeps_its_place(tmp_path, caplog):
    bad = ["c\t7\t.\tX\tC", "c\t8\t.\tA\t-", "c\t0\t.\tA\tC", "c\t9\t.\t.\tC"]
    _, lines = read(tmp_path / "x.vcf", HEADER + LINES * 20 + "".join(f"{line}\t.\t.\t.\n" for line in bad))
    assert [(line.pos, line.ref, line.alts) for line in lines[-4:]] == [
        *((7, "X", ("C",)), (8, "A", ("-",)), (0, "A", ("C",)), (9, ".", ("C",)))
    ]
    assert "VCF, line 43: REF is 'X', which is not DNA" in caplog.text and "4 of 44 records" in caplog.text
    assert vcf.is_symbolic("A<ctg1>") and vcf.is_symbolic("<ctg1>A") and not vcf.is_symbolic("-")
