"""The settings that are recommended for a model: which, for whom, and what is computed with them."""

import dataclasses
import shutil
import sys

import pytest

from conftest import ROOT, TEST_DATA, read_table
from dna_lm import api
from dna_lm.errors import UserError
from dna_lm.inputs.fasta import read_fasta
from dna_lm.known import answers
from dna_lm.scoring import recommended

sys.path.insert(0, str(ROOT / "tests" / "fixtures"))
from make_recommended_table import PAGE, with_table  # noqa: E402

MODELS, ORACLES = TEST_DATA / "models", ROOT / "tests" / "oracles"
VARIANTS = "--variants", TEST_DATA / "variants.vcf", "--reference", TEST_DATA / "reference.fasta"
# Published ids, and the family whose settings they get.
FAMILIES = {
    "RaphaelMourad/Mistral-DNA-v1-17M-hg38": "Mistral-DNA",
    "dna-lm/demo-mixtral": "the demonstration model",
    "InstaDeepAI/nucleotide-transformer-2.5b-multi-species": "Nucleotide Transformer v1",
    "InstaDeepAI/nucleotide-transformer-v2-50m-3mer-multi-species": "Nucleotide Transformer v2, AgroNT",
    "InstaDeepAI/agro-nucleotide-transformer-1b": "Nucleotide Transformer v2, AgroNT",
    "songlab/gpn-brassicales": "GPN",
    "songlab/gpn-animal-promoter": "GPN",
    "songlab/PhyloGPN": "all others",
    "kuleshov-group/PlantCaduceus_l20": "PlantCaduceus",
    "kuleshov-group/PlantCAD2-Small-l24-d0768": "all others",
    "kuleshov-group/caduceus-ps_seqlen-131k_d_model-256_n_layer-16": "Caduceus",
    "LongSafari/hyenadna-medium-160k-seqlen-hf": "HyenaDNA",
    "arcinstitute/evo2_7b": "Evo 2",
    "evo-design/evo-2-7b-8k-microviridae": "Evo 2",
    "togethercomputer/evo-1-131k-base": "Evo 1 and 1.5",
    "evo-design/evo-1.5-8k-base": "Evo 1 and 1.5",
    "HuggingFaceBio/Carbon-3B": "Carbon",
    "GenerTeam/GENERator-v2-eukaryote-1.2b-base": "GENERator",
    "GenerTeam/GENERanno-eukaryote-0.5b-base": "all others",
    "zhihan1996/DNABERT-2-117M": "DNABERT, DNABERT-2, DNABERT-S, GENA-LM",
    "zhihan1996/DNA_bert_6": "DNABERT, DNABERT-2, DNABERT-S, GENA-LM",
    "AIRI-Institute/gena-lm-bert-base-t2t": "DNABERT, DNABERT-2, DNABERT-S, GENA-LM",
    "zhangtaolab/plant-dnabert-BPE": "all others",
    "RaphaelMourad/ModernBERT-DNA-v1-37M-hg38": "all others",
    "InstaDeepAI/NTv3_8M_pre": "all others",
}


@pytest.mark.parametrize("model_id", FAMILIES)
def test_a_model_is_known_by_its_id(model_id):
    assert recommended.family_of(model_id).family == FAMILIES[model_id]


def test_no_id_of_the_known_models_fits_two_families():
    for model_id in [*FAMILIES, *answers.known_models()]:
        assert sum(recommended.fits(row, model_id) for row in recommended.TABLE) <= 1, model_id


def test_the_table_of_the_documentation_is_that_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert recommended.markdown_table() in page and with_table(page) == page


@pytest.fixture
def named(tmp_path):
    """A copy of a model in a folder of another name."""

    def make(folder, name):
        shutil.copytree(folder, tmp_path / name)
        return tmp_path / name

    return make


@pytest.mark.parametrize(
    ("folder", "name", "options"),
    [
        ("demo-mixtral", "Mistral-DNA-v1-17M-hg38", "--window 201 --scores l2 --strand forward"),
        (
            "tiny-mamba",
            "PlantCaduceus_l20",
            "--window 512 --window-before 255 --scores llr --strand forward --indel-window same-length "
            "--representation hidden --pooling mean",
        ),
        (
            "demo-mixtral",
            "unheard-of",
            "--window 512 --scores llr cosine_distance --strand mean --indel-window same-length "
            "--representation hidden --pooling mean",
        ),
        (
            "headless-mixtral",
            "unheard-of",
            "--window 512 --scores cosine_distance --strand mean --representation hidden --pooling mean",
        ),
    ],
)
def test_the_numbers_are_those_of_the_settings_by_hand(named, run_script, tmp_path, folder, name, options):
    model = named(MODELS / folder, name)
    run_script("score_variants.py", "--model", model, *VARIANTS, *options.split(), "--output", "by_hand.tsv")
    chosen = "--settings", "recommended", "--report", "r.md", "--output-vcf", "v.vcf"
    done = run_script("score_variants.py", "--model", model, *VARIANTS, *chosen, "--output", "chosen.tsv")
    assert done.returncode == 0
    rows = read_table(tmp_path / "chosen.tsv")
    assert rows == read_table(tmp_path / "by_hand.tsv") and sum(row["status"] == "ok" for row in rows) > 15
    row = recommended.of(api.load(model))
    for text in (done.stderr, (tmp_path / "v.vcf").read_text()):
        assert f"recommended for {row.family} ({row.whose})" in text
    assert f"recommended for {row.family} (" in (tmp_path / "r.md").read_text()


def test_from_python_the_same(run_script, tmp_path):
    model = api.load(MODELS / "tiny-llama")
    best = api.recommended(model)
    settings = {"strand": best.strand, "embedding": best.embedding, "before": best.before}
    given = str(VARIANTS[1]), str(VARIANTS[3]), best.scores, best.window
    rows = list(api.score_variants(model, *given, indel_window=best.indel_window, **settings))
    chosen = "--settings", "recommended", "--output", "x.tsv"
    run_script("score_variants.py", "--model", MODELS / "tiny-llama", *VARIANTS, *chosen)
    table = read_table(tmp_path / "x.tsv")
    found = [float(row["llr"]) for row in table if row["llr"]]
    assert found == pytest.approx([row.scores["llr"] for row in rows if row.status == "ok"], rel=1e-6)


@pytest.mark.parametrize(("before", "at"), [(None, 10), ("0", 0), ("3", 3), ("20", 20)])
def test_a_substitution_stands_where_it_is_asked_for(run_script, tmp_path, before, at):
    windows = "--wild-type-windows", "w.fasta", "--mutant-windows", "m.fasta", "--window", "21"
    options = ("--window-before", before) if before else ()
    demo = "--model", MODELS / "demo-mixtral", "--output", "x.tsv"
    assert run_script("score_variants.py", *demo, *VARIANTS, *windows, *options).returncode == 0
    texts = [{record.id: record.sequence for record in read_fasta(tmp_path / name)}["snv"] for name in windows[1:4:2]]
    assert [n for n, (a, b) in enumerate(zip(*texts, strict=True)) if a != b] == [at]


def test_a_window_has_its_substitution_in_it(run_script):
    options = "--window", "21", "--window-before", "21", "--output", "x.tsv"
    done = run_script("score_variants.py", "--model", MODELS / "demo-mixtral", *VARIANTS, *options)
    assert done.returncode == 1 and "--window-before 21: a window of 21 bases has the substitution in it" in done.stderr


@pytest.mark.parametrize("option", ["--window 201", "--scores l2", "--strand mean", "--pooling max", "--layer -1"])
def test_an_option_that_it_chooses_is_refused_beside_it(run_script, option):
    """Even with the value that it has by default."""
    done = run_script(
        "score_variants.py", "--model", MODELS / "demo-mixtral", *VARIANTS, "--output", "x.tsv",
        "--settings", "recommended", *option.split(),
    )  # fmt: skip
    name = option.split()[0]
    assert done.returncode == 1 and f"--settings recommended chooses {name}: leave one of the two out" in done.stderr


@pytest.mark.parametrize("folder", sorted(path.name for path in MODELS.iterdir() if path.is_dir()))
def test_no_row_is_too_long(run_script, tmp_path, folder):
    """The window is at most what the model reads, insertions included."""
    chosen = "--settings", "recommended", "--output", "x.tsv"
    assert run_script("score_variants.py", "--model", MODELS / folder, *VARIANTS, *chosen).returncode == 0
    counts = [row["status"] for row in read_table(tmp_path / "x.tsv")]
    assert "too_long" not in counts and counts.count("ok") > 15


def test_a_model_that_reads_no_neighbours_has_no_recommended_settings():
    """It would see the substitution alone."""
    model = dataclasses.replace(api.load(MODELS / "tiny-llama"), max_tokens=2)
    with pytest.raises(UserError, match="it reads too few bases. Choose your own settings"):
        api.recommended(model)


def test_scans_and_embeddings_and_pairs_have_theirs(run_script, tmp_path):
    demo = "--model", MODELS / "demo-mixtral", "--settings", "recommended"
    intervals = "--intervals", TEST_DATA / "intervals.bed", *VARIANTS[2:]
    assert run_script("mutagenesis.py", *demo, *intervals, "--report", "r.md", "--output", "a.tsv").returncode == 0
    by_hand = "--flank", "100", "--scores", "l2", "--strand", "mean", "--output", "b.tsv"
    assert run_script("mutagenesis.py", *demo[:2], *intervals, *by_hand).returncode == 0
    assert read_table(tmp_path / "a.tsv") == read_table(tmp_path / "b.tsv")
    for flank in ("0", "20"):
        own = "--flank", flank, "--output"
        assert run_script("mutagenesis.py", *demo, *intervals, *own, "c.tsv").returncode == 0
        assert run_script("mutagenesis.py", *demo[:2], *intervals, *own, "d.tsv").returncode == 0
        assert read_table(tmp_path / "c.tsv") == read_table(tmp_path / "d.tsv")
    assert "recommended for the demonstration model (the tutorial of this suite)" in (tmp_path / "r.md").read_text()
    fasta = TEST_DATA / "cftr_wild_type.fasta"
    assert run_script("embed.py", *demo, "--input", fasta, "--output", "a.tsv").returncode == 0
    by_hand = "--representation", "hidden", "--pooling", "mean", "--output", "b.tsv"
    assert run_script("embed.py", *demo[:2], "--input", fasta, *by_hand).returncode == 0
    assert read_table(tmp_path / "a.tsv") == read_table(tmp_path / "b.tsv")
    pairs = "--wild-type", fasta, "--mutant", TEST_DATA / "cftr_mutant.fasta"
    assert run_script("score_pairs.py", *demo, *pairs, "--output", "a.tsv").returncode == 0
    assert run_script("score_pairs.py", *demo[:2], *pairs, "--strand", "mean", "--output", "b.tsv").returncode == 0
    assert read_table(tmp_path / "a.tsv") == read_table(tmp_path / "b.tsv")
    done = run_script("score_pairs.py", *demo, *pairs, "--tutorial", "--output", "c.tsv")
    assert done.returncode == 1 and "--tutorial has its own settings" in done.stderr
