"""The tutorial in the layout of the Galaxy Training Network, with its pictures, workflows, tour and data.

docs/tutorial.md is the source, and readable where it is. Here its links get the addresses that they have there, and
the names of tools in its steps become the network's buttons.
"""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import archives
import bundle
import published
from numbering import ReleaseError

TOPIC, NAME = "statistics", "dna-lm-mutation-impact"
SOURCES = "https://github.com/dna-lm/dna_lm/blob/main"
IMAGES = f"topics/{TOPIC}/images/{NAME}"
TUTORIAL = f"topics/{TOPIC}/tutorials/{NAME}"
TOUR = "tours/dna_lm_mutation_impact.yml"
BIBLIOGRAPHY = Path(__file__).with_name("data") / "tutorial.bib"
# A file of the bundle is offered for upload unless it is a text for people.
EXTENSIONS = {".safetensors": "safetensors", ".json": "json", ".fasta": "fasta", ".vcf": "vcf", ".bed": "bed"}
EXTENSIONS |= {".tsv": "tabular", ".gz": "fasta.gz"}
LINK = re.compile(r"\]\((?!https?://|#)([^)\s]+)")
# Another tutorial of the network, which its pages name by the file in its repository.
PAGE = re.compile(r"\]\(https://training\.galaxyproject\.org/training-material/(topics/\S+/tutorial)\.html\)")
# Galaxy's own tools that the tutorial uses, by the names that it gives them.
GALAXY_TOOLS = dict.fromkeys(("Select first", "Select first lines from a dataset"), "Show beginning1")
GALAXY_TOOLS["Filter"] = "Filter1"


def write_training(root: Path, workflows: Path, folder: Path, version: str, url: str) -> None:
    """Write the tutorial into the new `folder`, to be copied over the network's repository.

    workflows: the folder of the published workflows; url: where the files of the data bundle are, or nothing.
    """
    tutorial = folder / TUTORIAL
    (tutorial / "workflows").mkdir(parents=True)
    (tutorial / "tours").mkdir()
    text = (root / "docs" / "tutorial.md").read_text()
    if url:
        text = text.replace('\nzenodo_link: ""\n', f'\nzenodo_link: "{url.removesuffix("/files")}"\n')
    page = PAGE.sub(r"]({% link \1.md %})", LINK.sub(lambda found: "](" + address(found[1]), text))
    (tutorial / "tutorial.md").write_text(with_buttons(page, root, version))
    images = folder / IMAGES
    images.mkdir(parents=True)
    for name in re.findall(r"\]\(images/([^)\s]+)", text):
        picture = root / "docs" / "images" / name
        if not picture.is_file():
            raise ReleaseError(f"docs/tutorial.md shows {name}, which docs/images/ does not have")
        shutil.copyfile(picture, images / name)
    for path in sorted(workflows.glob("*/*")):
        if path.suffix == ".ga" or path.name.endswith("-tests.yml"):
            shutil.copyfile(path, tutorial / "workflows" / path.name)
    shutil.copyfile(root / TOUR, tutorial / "tours" / Path(TOUR).name)
    shutil.copyfile(BIBLIOGRAPHY, tutorial / "tutorial.bib")
    # JSON is YAML.
    (tutorial / "data-library.yaml").write_text("---\n" + json.dumps(library(root, version, url), indent=2) + "\n")
    archives.write_checksums(folder)


def address(link: str) -> str:
    """Where a link of docs/tutorial.md leads from there: pictures move, all else stays in the sources."""
    if link.startswith("images/"):
        return f"../../images/{NAME}/{link.removeprefix('images/')}"
    return f"{SOURCES}/{link.removeprefix('../')}" if link.startswith("../") else f"{SOURCES}/docs/{link}"


def with_buttons(text: str, root: Path, version: str) -> str:
    """The tutorial with the names of tools in bold as tags of the network, which open the tool's form."""
    identifiers = dict(GALAXY_TOOLS)
    for path in sorted((root / "tools").glob("dna_lm_*.xml")):
        tool = ElementTree.parse(path).getroot()
        identifiers[tool.get("name")] = published.identifier(tool.get("id"), f"{version}+galaxy0")

    def button(found: re.Match) -> str:
        name = found[1]
        return f"{{% tool [{name}]({identifiers[name]}) %}}" if name in identifiers else found[0]

    return re.sub(r"\*\*([^*\n]+)\*\*", button, text)


def library(root: Path, version: str, url: str) -> dict:
    """The data library that a server makes of the bundle; without a URL it names the files only."""
    named = {name: EXTENSIONS.get(Path(name).suffix) for name in bundle.FILES}
    files = [
        {
            "url": f"{url}/{name}" if url else name,
            "src": "url",
            "ext": extension,
            "info": url,
            "md5sum": archives.digest(root / bundle.FILES[name], "md5"),
        }
        for name, extension in named.items()
        if extension
    ]
    return {
        "destination": {
            "type": "library",
            "name": "GTN - Material",
            "description": "Galaxy Training Network Material",
            "synopsis": "Galaxy Training Network Material. See https://training.galaxyproject.org",
        },
        "items": [
            {
                "topic_id": TOPIC,
                "name": "Statistics and Machine Learning",
                "description": "Models and statistics",
                "items": [
                    {
                        "name": "What does a mutation do?",
                        "tutorial_id": NAME,
                        "items": [{"name": f"dna_lm {version}", "items": files}],
                    }
                ],
            }
        ],
    }
