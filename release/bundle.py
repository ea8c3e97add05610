"""The data bundle: the demonstration model and the sequences of tutorial, tour and workflows, to be put on Zenodo."""

import json
import shutil
from pathlib import Path

import archives

MODEL = "test-data/models/demo-mixtral"
# Name in the bundle, which is flat because Zenodo has no folders, and where the file is.
FILES = {
    "model.safetensors": f"{MODEL}/model.safetensors",
    "config.json": f"{MODEL}/config.json",
    "tokenizer.json": f"{MODEL}/tokenizer.json",
    "tokenizer_config.json": f"{MODEL}/tokenizer_config.json",
    "MODEL.md": f"{MODEL}/README.md",
    "LICENSE": "LICENSE",
    **{
        name: f"test-data/{name}"
        for name in (
            "cftr_wild_type.fasta",
            "cftr_mutant.fasta",
            "snv_wild_type.fasta",
            "snv_mutant.fasta",
            "indel_wild_type.fasta.gz",
            "indel_mutant.fasta.gz",
            "dbsnp.vcf",
            "dbsnp_reference.fasta",
            "variants.vcf",
            "evaluate_brca1.tsv",
            "evaluate_brca1_scores.tsv",
            "evaluate_clinvar.vcf",
            "reference.fasta",
            "regions.bed",
        )
    },
}
TEXTS = Path(__file__).with_name("data")


def write_bundle(root: Path, folder: Path, version: str, date: str) -> None:
    """Write the bundle into the new `folder`: files, checksums, README and Zenodo's metadata."""
    folder.mkdir(parents=True)
    for name, source in FILES.items():
        shutil.copyfile(root / source, folder / name)
    shutil.copyfile(TEXTS / "README.md", folder / "README.md")
    metadata = json.loads((TEXTS / "zenodo.json").read_text())
    metadata["metadata"] |= {"version": version, "publication_date": date}
    (folder / "zenodo.json").write_text(json.dumps(metadata, indent=2, ensure_ascii=False) + "\n")
    archives.write_checksums(folder)
