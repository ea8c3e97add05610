"""What a new user clicks in Galaxy's own page, in a headless Chromium.

They do the exercises of docs/tutorial.md, whose numbers tests/unit/test_tutorial.py computes. Each test needs what
those before it left. They compare what the page shows with the files. Screenshots of everything stay in
.galaxy/browser/screenshots/, `failure.png` if a test failed. With --docs-images, the tutorial's pictures in
docs/images/ are made again.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from galaxy_server import ROOT, new_folder, running_galaxy
from galaxy_user import JOB_SECONDS, TEST_DATA, table_rows, wait_until
from playwright.sync_api import Locator, Page, expect, sync_playwright

WORK_DIR = ROOT / ".galaxy" / "browser"
SCREENSHOTS = WORK_DIR / "screenshots"
UPLOADS = (
    "snv_wild_type.fasta",
    "snv_mutant.fasta",
    "indel_wild_type.fasta.gz",
    "indel_mutant.fasta.gz",
    "dbsnp.vcf",
    "dbsnp_reference.fasta",
)
PASTED = {"CFTR wild type": "cftr_wild_type.fasta", "CFTR mutant": "cftr_mutant.fasta"}
# Where the form takes a model's files, and the files of the demonstration model.
MODEL_FILES = {
    "weights": "model.safetensors",
    "config": "config.json",
    "tokenizer": "tokenizer.json",
    "tokenizer_config": "tokenizer_config.json",
}
# The line of the tutorial, which a reader pastes.
REGION = "chr22_part\t245\t266\tnear_rs62219034\t0\t-\n"
TOOLS = ("score_pairs", "compare_groups", "evaluate", "score_variants", "mutagenesis", "embed", "split", "collapse")
TOUR = "dna_lm_mutation_impact"
WIDTH, HEIGHT = 1440, 900
# States that a dataset does not leave by itself.
ENDED = {"ok", "error", "paused", "empty", "discarded", "failed_metadata"}
PAGE_SECONDS = 60
DIALOGUE = ".modal-content:visible, .g-modal-content:visible, dialog[open]"
N_TRIES = 3
# Nothing of the browser's own is fetched.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Window:
    """A browser window with Galaxy in it, what its user does there, and the outputs that later tests look at."""

    page: Page
    url: str
    docs_images: Path | None
    # The score tables of the tutorial's exercises, by their names here.
    scored: dict[str, dict] = field(default_factory=dict)
    comparison: dict[str, dict] = field(default_factory=dict)

    def get(self, path: str) -> Any:
        """Galaxy's answer to this user, who is known by the cookie of the page."""
        return self.page.request.get(self.url + path)

    def history(self) -> dict[int, dict[str, Any]]:
        """The current history's datasets and collections by their numbers."""
        history = self.get("/history/current_history_json").json()["id"]
        listed = self.get(f"/api/histories/{history}/contents?v=dev&limit=200").json()
        return {item["hid"]: item for item in listed}

    def content(self, dataset: dict) -> bytes:
        """The bytes of a dataset."""
        return self.get(f"/api/datasets/{dataset['id']}/display?raw=true").body()

    def shot(self, name: str, docs: str | None = None, of: str = "#center", height: int | None = None) -> None:
        """Keep a screenshot of the window; with `docs`, one of an element for the documentation too."""
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")
        if docs and self.docs_images:
            box = self.page.locator(of).first.bounding_box()
            clip = {**box, "height": min(box["height"], height or HEIGHT)}
            self.page.screenshot(path=self.docs_images / f"{docs}.png", clip=clip)

    def docs_shot(self, name: str, docs: str, height: int) -> None:
        """Keep a screenshot of the window, and for the documentation one of the upper `height` pixels of its middle."""
        self.page.set_viewport_size({"width": WIDTH, "height": height + 200})
        self.page.wait_for_timeout(800)
        self.shot(name, docs, height=height)
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})

    def tall_shot(self, name: str) -> None:
        """Keep a screenshot of all that the middle of the window would scroll through."""
        heights = "() => Math.max(...[...document.querySelectorAll('#center, #center *')].map(e => e.scrollHeight))"
        self.page.set_viewport_size({"width": WIDTH, "height": self.page.evaluate(heights) + 150})
        self.page.wait_for_timeout(500)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})

    def open_tool(self, tool: str) -> None:
        """Open the form of a tool of the suite."""
        self.page.goto(f"{self.url}/?tool_id=dna_lm_{tool}")
        expect(self.page.locator("#execute").first).to_be_visible()
        # The form asks Galaxy once more what it offers when the history has come.
        self.page.wait_for_timeout(1500)

    def choose(self, parameter: str, name: str) -> None:
        """Choose a dataset, or another option, of a parameter by the name that is shown."""
        select = self.page.locator(f'[id="form-element-{parameter}"]')
        options = select.locator(".multiselect__option", has_text=name).filter(visible=True)
        chosen = select.locator(".multiselect__single, .multiselect__tag").filter(has_text=name)
        # The form may be drawn again under the click.
        for _ in range(N_TRIES):
            # A list of several stays open after a choice.
            if not options.count():
                select.locator(".multiselect").first.click()
            options.first.click()
            self.page.wait_for_timeout(700)
            if chosen.count():
                return
        pytest.fail(f"{name} cannot be chosen as {parameter}")

    def clear(self, parameter: str) -> None:
        """Remove everything that is chosen in a parameter that takes several."""
        icons = self.page.locator(f'[id="form-element-{parameter}"] .multiselect__tag-icon')
        while icons.count():
            icons.first.click()

    def run_tool(self, state: str = "ok") -> list[dict[str, Any]]:
        """Click *Run Tool* and wait until the history shows all outputs in this state; returns them, in order."""
        before = max(self.history())
        self.page.locator("#execute").first.click()
        expect(self.page.get_by_text("successfully added")).to_be_visible()

        def ended() -> list[dict[str, Any]] | None:
            outputs = [item for number, item in sorted(self.history().items()) if number > before and item["visible"]]
            return outputs if outputs and states_of(outputs) <= ENDED else None

        outputs = wait_until(ended, JOB_SECONDS, "the end of the job")
        assert states_of(outputs) == {state}, [item["name"] for item in outputs]
        for item in outputs:
            in_history = self.page.locator(f'.content-item[data-hid="{item["hid"]}"][data-state="{state}"]')
            expect(in_history).to_be_visible()
        return outputs

    def rename(self, dataset: dict, name: str) -> None:
        """Give a dataset another name."""
        answer = self.page.request.put(f"{self.url}/api/datasets/{dataset['id']}", data={"name": name})
        assert answer.ok, answer.text()

    def look_at(self, dataset: dict) -> None:
        """Click on the eye of a dataset in the history."""
        self.page.locator(f'.content-item[data-hid="{dataset["hid"]}"] .display-btn').first.click()
        self.page.wait_for_timeout(2500)

    def shown_table(self) -> list[list[str]]:
        """The table in the middle of the window, as a list of rows of text."""
        expect(self.page.locator("#center table tr").nth(1)).to_be_visible()
        read = "rows => rows.map(row => [...row.querySelectorAll('th, td')].map(cell => cell.innerText.trim()))"
        return self.page.locator("#center table tr").evaluate_all(read)


def states_of(outputs: list[dict]) -> set[str]:
    """The states of datasets and collections."""
    return {item.get("populated_state" if "collection_type" in item else "state") for item in outputs}


def same_cell(shown: str, written: str) -> bool:
    """Whether a cell shows what the file says; numbers may have fewer digits."""
    try:
        return shown == written or abs(float(shown) - float(written)) <= 1e-6 * max(1, abs(float(written)))
    except ValueError:
        return False


@pytest.fixture(scope="module")
def window(request: pytest.FixtureRequest) -> Iterator[Window]:
    """A browser at a Galaxy's page, nobody logged in."""
    docs_images = ROOT / "docs" / "images" if request.config.getoption("docs_images") else None
    expect.set_options(timeout=PAGE_SECONDS * 1000)
    with running_galaxy(new_folder(WORK_DIR)) as server, sync_playwright() as playwright:
        SCREENSHOTS.mkdir()
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(PAGE_SECONDS * 1000)
        yield Window(page, server.url, docs_images)
        browser.close()


@pytest.fixture(autouse=True)
def screenshot_of_failure(request: pytest.FixtureRequest, window: Window) -> Iterator[None]:
    """Keep a screenshot when a test fails, and print some words of the page."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        window.page.screenshot(path=SCREENSHOTS / "failure.png")
        print("the page shows:", " ".join(window.page.locator("body").inner_text().split())[:300])


def test_register(window: Window) -> None:
    """A new user registers."""
    page, account = window.page, f"biologist-{secrets.token_hex(3)}"
    page.goto(f"{window.url}/register/start")
    fields = {"email": f"{account}@example.org", "password": "secret-123", "confirm": "secret-123", "username": account}
    for name, value in fields.items():
        page.fill(f"input[name={name}]", value)
    window.shot("01_register")
    page.click("button[name=create]")
    expect(page.locator("#activity-upload")).to_be_visible()
    expect(page.get_by_text(account).first).to_be_visible()
    page.wait_for_timeout(1500)
    window.shot("02_welcome")


def test_paste(window: Window) -> None:
    """Two sequences and their mutants are pasted, each with a name."""
    page = window.page
    page.click("#activity-upload")
    for number, (name, file) in enumerate(PASTED.items()):
        page.locator("#regular #btn-new").click()
        row = page.locator(f"#upload-row-{number}")
        row.locator(".upload-title").fill(name)
        row.locator(".upload-text-content").fill((TEST_DATA / file).read_text())
    page.wait_for_timeout(500)
    window.shot("03_paste", docs="upload", of=DIALOGUE)
    finish_upload(window, len(PASTED))
    assert {item["name"]: item["extension"] for item in window.history().values()} == dict.fromkeys(PASTED, "fasta")


def finish_upload(window: Window, n_datasets: int) -> None:
    """Start the upload, wait until the history has so many datasets, and close the dialogue."""
    page = window.page
    page.locator("button", has_text=re.compile(r"^\s*Start\s*$")).filter(visible=True).click()
    expect(page.locator('.content-item[data-state="ok"]')).to_have_count(n_datasets, timeout=JOB_SECONDS * 1000)
    close = page.locator("button", has_text=re.compile(r"^\s*Close\s*$")).filter(visible=True)
    if close.count():
        close.first.click()


def test_upload(window: Window, tmp_path: Path) -> None:
    """Files are uploaded, two of them gzipped."""
    page = window.page
    region = tmp_path / "region.bed"
    region.write_text(REGION)
    page.reload()
    page.click("#activity-upload")
    with page.expect_file_chooser() as chooser:
        page.locator("button", has_text="Choose local file").filter(visible=True).click()
    chooser.value.set_files([*(TEST_DATA / name for name in UPLOADS), region])
    expect(page.get_by_text(f"You added {len(UPLOADS) + 1} file(s)")).to_be_visible()
    window.shot("03_upload")
    finish_upload(window, len(PASTED) + len(UPLOADS) + 1)
    kinds = {item["name"]: item["extension"] for item in window.history().values() if item["name"] not in PASTED}
    names = *UPLOADS, region.name
    wanted = {name: name.removeprefix(Path(name).stem.split(".")[0]).lstrip(".") for name in names}
    assert kinds == wanted, f"Galaxy took the files for {kinds}"
    window.shot("04_uploaded")


def test_forms(window: Window) -> None:
    """Every form says what it needs, has a model chosen, and can be run as it stands if its files are there."""
    for number, tool in enumerate(TOOLS):
        window.open_tool(tool)
        if tool not in ("compare_groups", "evaluate", "split", "collapse"):
            model = window.page.locator('[id="form-element-model|installed"] .multiselect__single')
            expect(model).to_have_text(re.compile("Demonstration Mixtral"))
            expect(window.page.locator("#execute").first).to_be_enabled()
        help_text = window.page.locator(".form-help").inner_text()
        assert len(help_text) > 400, f"the form of {tool} has hardly any help"
        window.tall_shot(f"10_form_{number}_{tool}")


def test_two_mutations(window: Window) -> None:
    """The first exercise; the tool is found as a user finds it. The history warns of what misleads."""
    page = window.page
    page.goto(window.url)
    page.fill("#toolbox-panel .search-query", "mutation pairs")
    page.locator("#toolbox-panel a", has_text="Score mutation pairs").first.click()
    expect(page.locator("#execute").first).to_be_visible()
    page.wait_for_timeout(1500)
    window.choose("wild_type", "CFTR wild type")
    window.choose("mutant", "CFTR mutant")
    window.docs_shot("20_score_pairs_cftr", "score_pairs_form", 800)
    (table,) = window.run_tool()
    assert [f"{float(row['l2']):.2f}" for row in table_rows(window.content(table))] == ["16.07", "22.63"]
    window.scored["CFTR"] = table
    item = page.locator(f'.content-item[data-hid="{table["hid"]}"]')
    item.click()
    expect(item.get_by_text("The demonstration model was used.")).to_be_visible()
    page.wait_for_timeout(800)
    window.shot("20_warnings")


def test_score_pairs(window: Window) -> None:
    """Two groups, the second gzipped; each table is renamed."""
    for group, extension, name in (("snv", "fasta", "substitutions"), ("indel", "fasta.gz", "indels")):
        window.open_tool("score_pairs")
        window.choose("wild_type", f"{group}_wild_type.{extension}")
        window.choose("mutant", f"{group}_mutant.{extension}")
        window.shot(f"20_score_pairs_{group}")
        (table,) = window.run_tool()
        window.rename(table, name)
        window.scored[name] = table


def test_score_table(window: Window) -> None:
    """The table shows the file's numbers."""
    for name, n_pairs in (("substitutions", 200), ("indels", 114)):
        table = window.scored[name]
        written = [line.split("\t") for line in window.content(table).decode().splitlines()]
        assert len(written) == n_pairs + 1, f"the table has {len(written) - 1} rows, not {n_pairs}"
        window.look_at(table)
        shown = window.shown_table()
        assert len(shown) > 10, f"only {len(shown)} rows are shown"
        for row, expected in zip(shown, written, strict=False):
            is_same = len(row) == len(expected) and all(map(same_cell, row, expected))
            assert is_same, f"the page shows {row}, the file has {expected}"
        window.shot(f"21_score_table_{n_pairs}", docs="score_table" if n_pairs == 200 else None, height=560)


def test_compare_groups(window: Window) -> None:
    """Two score tables are compared as groups."""
    window.open_tool("compare_groups")
    window.clear("source|tables")
    for name in ("substitutions", "indels"):
        window.choose("source|tables", name)
    window.page.locator("#center").get_by_text("Tool Parameters").click()
    window.page.wait_for_timeout(800)
    window.docs_shot("30_compare_groups", "compare_groups_form", 900)
    outputs = window.run_tool()
    kinds = [output["extension"] for output in outputs]
    assert kinds == ["tabular", "tabular", "png", "tool_markdown"], f"the outputs are {kinds}"
    window.comparison = dict(zip(("tests", "summary", "plot", "report"), outputs, strict=True))


def is_image_shown(image: Locator) -> bool:
    """Whether a picture is visible and has been loaded."""
    expect(image).to_be_visible()
    return image.evaluate("image => image.complete && image.naturalWidth") > 0


def test_plot(window: Window) -> None:
    """The picture is shown, not only linked."""
    window.look_at(window.comparison["plot"])
    window.shot("31_plot")
    frames = [frame for frame in window.page.frames if frame.locator("img").count()]
    images = [image for frame in frames for image in frame.locator("img").filter(visible=True).all()]
    assert any(is_image_shown(image) and image.bounding_box()["width"] > 300 for image in images), "no plot is shown"


def test_report(window: Window) -> None:
    """The report says in words what the table of tests has in numbers, and shows the plot."""
    page = window.page
    rank_sum = table_rows(window.content(window.comparison["tests"]))[0]
    page.goto(f"{window.url}/datasets/{window.comparison['report']['id']}/report")
    image = page.locator("#center img").filter(visible=True).first
    assert is_image_shown(image), "the report does not show its plot"
    text = page.locator("#center").inner_text()
    for label in ("substitutions", "indels"):
        assert label in text, f"the report does not name the group {label}"
    auc = float(rank_sum["auc"])
    sizes = [rank_sum["n_a"], rank_sum["n_b"]]
    if auc < 0.5:  # the sentence begins with the higher group
        sizes.reverse()
    answer = f"AUC {max(auc, 1 - auc):.3f}, 95 % interval"
    words = ("Mann–Whitney U", answer, f"n = {' and '.join(sizes)}.", f"{auc:.3f}", "How to read this")
    for word in words:
        assert word in text, f"the report does not say {word!r}"
    window.tall_shot("32_report")
    window.docs_shot("32_report_top", "report", 1150)
    for number, name in enumerate(("tests", "summary")):
        window.look_at(window.comparison[name])
        window.shown_table()
        window.shot(f"33_{number}_{name}")


def fill_in_variants(window: Window) -> None:
    """Fill in the form for the variants of the tutorial, but for the model."""
    window.open_tool("score_variants")
    window.choose("variants", "dbsnp.vcf")
    window.choose("reference|source", "Use a FASTA file from my history")
    window.choose("reference|fasta", "dbsnp_reference.fasta")
    window.choose("background|draw", "Yes, add percentiles")
    window.choose("sort", "Largest impact first")
    window.page.locator('[id="form-element-background|n"] input').first.fill("20")
    window.page.wait_for_timeout(1000)


def test_variants_of_a_vcf(window: Window) -> None:
    """The variants of a VCF with percentiles, the largest impact first."""
    page = window.page
    fill_in_variants(window)
    page.locator("#center").get_by_text("Tool Parameters").click()
    window.docs_shot("40_variants", "variants_form", 1000)
    scores, vcf, report = window.run_tool()
    window.scored["variants"] = scores
    window.look_at(scores)
    first = dict(zip(*window.shown_table()[:2], strict=True))
    assert (first["id"], first["l2_percentile"], first["n_background"]) == ("rs62219034", "100", "20")
    window.shot("40_variants_table")
    window.look_at(vcf)
    window.shot("40_variants_vcf")
    page.goto(f"{window.url}/datasets/{report['id']}/report")
    for text in ("99 of 99 alleles", "The demonstration model was used.", "rs62219034"):
        expect(page.get_by_text(text).first).to_be_visible()
    assert is_image_shown(page.locator("#center img").filter(visible=True).first), "the report does not show its plot"
    window.docs_shot("40_variants_report", "variants_report", 1300)
    window.tall_shot("40_variants_report_whole")


def fill_in_region(window: Window) -> None:
    """Fill in the form for the region of the tutorial, but for the model."""
    window.open_tool("mutagenesis")
    window.choose("dna|from", "Intervals of a reference genome")
    window.choose("dna|intervals", "region.bed")
    window.choose("dna|reference|source", "Use a FASTA file from my history")
    window.choose("dna|reference|fasta", "dbsnp_reference.fasta")


def test_bases_of_a_region(window: Window) -> None:
    """Every mutation of an interval on the minus strand, of a genome of which the user made a custom build."""
    page = window.page
    inputs = {item["name"]: item["id"] for item in window.history().values()}
    user = window.get("/api/users/current").json()["id"]
    build = {"name": "Part of chr22", "len|type": "fasta", "len|value": inputs["dbsnp_reference.fasta"]}
    assert page.request.put(f"{window.url}/api/users/{user}/custom_builds/part22", data=build).ok
    key = {"genome_build": "part22"}
    assert page.request.put(f"{window.url}/api/datasets/{inputs['region.bed']}", data=key).ok
    fill_in_region(window)
    window.shot("41_mutagenesis")
    listed = window.run_tool()
    outputs = {output["extension"]: output for output in listed if "extension" in output}
    (tracks,) = [output["id"] for output in listed if "collection_type" in output]
    elements = window.get(f"/api/dataset_collections/{tracks}").json()["elements"]
    keys = [window.get(f"/api/datasets/{element['object']['id']}").json()["genome_build"] for element in elements]
    assert keys == ["part22"] * 5, f"the tracks have the database keys {keys}"
    window.scored["region"] = outputs["tabular"]
    window.look_at(outputs["tabular"])
    assert len(window.shown_table()) > 10, "the table of mutations is not shown"
    window.shot("41_mutagenesis_table")
    page.goto(f"{window.url}/datasets/{outputs['tool_markdown']['id']}/report")
    for text in ("63 of 63 rows", "C at chr22_part:256", "1 interval is on the minus strand."):
        expect(page.get_by_text(text).first).to_be_visible()
    assert is_image_shown(page.locator("#center img").filter(visible=True).first), (
        "the report does not show its picture"
    )
    window.docs_shot("41_mutagenesis_report", "mutagenesis_report", 900)
    chart = page.locator("canvas.marks, svg.marks").first
    expect(chart).to_be_visible()
    box = chart.bounding_box()
    # Every base has three of the four cells of its column.
    for part in (0.2, 0.4):
        chart.hover(position={"x": box["width"] / 2, "y": box["height"] * part})
        page.wait_for_timeout(500)
        if page.get_by_text("l2", exact=True).filter(visible=True).count():
            break
    expect(page.locator("#vg-tooltip-element")).to_contain_text("l2")
    window.tall_shot("41_mutagenesis_report_whole")
    if window.docs_images:
        (window.docs_images / "mutagenesis_heatmap.png").write_bytes(window.content(outputs["png"]))


def test_other_tools(window: Window) -> None:
    """The other tools with their defaults, and what they show."""
    window.open_tool("embed")
    window.choose("input", "CFTR wild type")
    window.look_at(window.run_tool()[0])
    window.shot("44_embeddings")
    window.open_tool("split")
    window.choose("what|wild_type", "snv_wild_type.fasta")
    window.choose("what|mutant", "snv_mutant.fasta")
    window.page.locator('[id="form-element-size"] input').first.fill("100")
    assert len(window.run_tool()) == 2, "splitting gives not two lists"
    window.shot("45_split")


def test_wrong_file(window: Window) -> None:
    """One file chosen twice: the dataset turns red and says so, and its page begins with it."""
    page = window.page
    window.open_tool("score_pairs")
    window.choose("wild_type", "CFTR wild type")
    window.choose("mutant", "CFTR wild type")
    (red,) = window.run_tool(state="error")
    item = page.locator(f'.content-item[data-hid="{red["hid"]}"]')
    item.click()
    words = re.compile("(the same file|is identical to its wild type).*: choose the file with the mutants")
    message = item.get_by_text(words)
    expect(message).to_be_visible()
    page.wait_for_timeout(800)
    window.shot("50_red_dataset", docs="error", of=f'.content-item[data-hid="{red["hid"]}"]')
    assert "Traceback" not in item.inner_text(), "the message is a traceback"
    page.goto(f"{window.url}/datasets/{red['id']}/error")
    expect(page.locator("#center").get_by_text(words).first).to_be_in_viewport()
    page.wait_for_timeout(800)
    window.shot("51_error_page")


def test_model_files(window: Window, tmp_path: Path) -> None:
    """All exercises again in a new history, with a model from there: the scores are those of the installed model."""
    page = window.page
    region = tmp_path / "region.bed"
    region.write_text(REGION)
    history = page.request.post(f"{window.url}/api/histories", data={"name": "Model files"}).json()["id"]
    assert window.get(f"/history/set_as_current?id={history}").ok
    page.goto(window.url)
    page.click("#activity-upload")
    with page.expect_file_chooser() as chooser:
        page.locator("button", has_text="Choose local file").filter(visible=True).click()
    names = *PASTED.values(), *UPLOADS, *(f"models/demo-mixtral/{name}" for name in MODEL_FILES.values())
    chooser.value.set_files([*(TEST_DATA / name for name in names), region])
    finish_upload(window, len(names) + 1)
    kinds = {item["name"]: item["extension"] for item in window.history().values()}
    wanted = dict.fromkeys(MODEL_FILES.values(), "json") | {"model.safetensors": "safetensors"}
    assert wanted.items() <= kinds.items(), f"Galaxy took the files for {kinds}"
    for exercise, group, extension in (
        ("CFTR", "cftr", "fasta"),
        ("substitutions", "snv", "fasta"),
        ("indels", "indel", "fasta.gz"),
    ):
        window.open_tool("score_pairs")
        window.choose("wild_type", f"{group}_wild_type.{extension}")
        window.choose("mutant", f"{group}_mutant.{extension}")
        check_with_model_files(window, exercise)
    fill_in_variants(window)
    check_with_model_files(window, "variants")
    fill_in_region(window)
    check_with_model_files(window, "region")


def check_with_model_files(window: Window, exercise: str) -> None:
    """Choose the model's files in the form, run the tool, and compare its table with that of the installed model."""
    window.choose("model|source", "Use model files from my history")
    for parameter, name in MODEL_FILES.items():
        # The list has numbers before the names; one name ends with another.
        window.choose(f"model|{parameter}", f": {name}")
    window.shot(f"48_model_files_{exercise}")
    table = next(output for output in window.run_tool() if output.get("extension") == "tabular")
    assert window.content(table) == window.content(window.scored[exercise]), f"{exercise}: not the same table"


def test_tour(window: Window) -> None:
    """The interactive tour, step by step to its end."""
    page = window.page
    page.goto(f"{window.url}/tours")
    expect(page.get_by_text("What does a mutation do?").first).to_be_visible()
    window.shot("60_tours")
    n_steps = len(window.get(f"/api/tours/{TOUR}").json()["steps"])
    page.goto(f"{window.url}/tours/{TOUR}")
    page.locator("button", has_text="Create New History").filter(visible=True).click()
    for number in range(1, n_steps + 1):
        step = page.locator(".tour-element")
        expect(step).to_be_visible(timeout=JOB_SECONDS * 1000)
        title = step.locator(".tour-title").inner_text()
        page.wait_for_timeout(1000)
        window.shot(f"61_tour_{number:02}")
        print(f"{number}. {title}")
        if number == n_steps:
            step.locator(".tour-end").click()
        else:
            step.locator(".tour-next").click()
            expect(step.locator(".tour-title")).not_to_have_text(title, timeout=JOB_SECONDS * 1000)
    expect(page.locator(".tour-element")).to_have_count(0)
    # The numbers of the tutorial's two mutations, as in the wrapper's tests.
    rows = {row["id"]: row for row in table_rows(window.content(window.history()[3]))}
    for name, length, score in (("ATT_to_ATA", "33", 16.068), ("TCT_deletion", "30", 22.63)):
        assert (rows[name]["status"], rows[name]["wt_length"], rows[name]["mut_length"]) == ("ok", "33", length)
        assert float(rows[name]["l2"]) == pytest.approx(score, abs=0.01)
