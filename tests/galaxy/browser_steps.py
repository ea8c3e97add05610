"""What a new user clicks in Galaxy's own page, in a headless Chromium: run_browser_tests.py runs it.

Each step checks what the page shows against the files; screenshots of everything stay in a folder. A step that fails
ends the run with one line and the screenshot `failure.png`.
"""

import argparse
import re
import secrets
import sys
import time
from pathlib import Path

from playwright.sync_api import Error, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
TEST_DATA = ROOT / "test-data"
UPLOADS = (
    "snv_wild_type.fasta",
    "snv_mutant.fasta",
    "indel_wild_type.fasta.gz",
    "indel_mutant.fasta.gz",
    "cftr_wild_type.fasta",
    "bad_protein.fasta",
    "variants.vcf",
)
TOOLS = ("score_pairs", "compare_groups", "score_variants", "mutagenesis", "embed", "split", "collapse")
TOUR = "dna_lm_mutation_impact"
WIDTH, HEIGHT = 1440, 900
ENDED = {"ok", "error", "paused", "empty", "discarded", "failed_metadata"}
PAGE_SECONDS = 60
JOB_SECONDS = 300
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


class CheckError(Exception):
    """The page does not show what it should."""


def check(is_right, message):
    if not is_right:
        raise CheckError(message)


class User:
    """A browser window with Galaxy in it, and what its user does there."""

    def __init__(self, page, url, screenshots, docs_images):
        self.page, self.url, self.screenshots, self.docs_images = page, url, screenshots, docs_images

    def get(self, path):
        """What Galaxy's API tells this user, with the cookie of the page."""
        return self.page.request.get(self.url + path)

    def history(self):
        """The current history's datasets and collections, hid -> what Galaxy tells of it."""
        history = self.get("/history/current_history_json").json()["id"]
        listed = self.get(f"/api/histories/{history}/contents?v=dev&limit=200").json()
        return {item["hid"]: item for item in listed}

    def content(self, dataset):
        return self.get(f"/api/datasets/{dataset['id']}/display?raw=true").body()

    def shot(self, name, docs=None, of="#center", height=None):
        """Keep a screenshot of the window; with `docs`, one of an element for the documentation too."""
        self.page.screenshot(path=self.screenshots / f"{name}.png")
        if docs and self.docs_images:
            box = self.page.locator(of).first.bounding_box()
            clip = {**box, "height": min(box["height"], height or HEIGHT)}
            self.page.screenshot(path=self.docs_images / f"{docs}.png", clip=clip)

    def tall_shot(self, name):
        """Keep a screenshot of all that the middle of the window would scroll through."""
        heights = "() => Math.max(...[...document.querySelectorAll('#center, #center *')].map(e => e.scrollHeight))"
        self.page.set_viewport_size({"width": WIDTH, "height": self.page.evaluate(heights) + 150})
        self.page.wait_for_timeout(500)
        self.page.screenshot(path=self.screenshots / f"{name}.png")
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})

    def open_tool(self, tool):
        self.page.goto(f"{self.url}/?tool_id=dna_lm_{tool}")
        expect(self.page.locator("#execute").first).to_be_visible()
        # The form asks Galaxy once more what it offers when the history has come.
        self.page.wait_for_timeout(1500)

    def choose(self, parameter, name):
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
        raise CheckError(f"{name} cannot be chosen as {parameter}")

    def clear(self, parameter):
        """Take away all that is chosen in a parameter of several."""
        icons = self.page.locator(f'[id="form-element-{parameter}"] .multiselect__tag-icon')
        while icons.count():
            icons.first.click()

    def run_tool(self, state="ok"):
        """Click *Run Tool* and wait until the history shows all outputs in this state; returns them, in order."""
        before = max(self.history())
        self.page.locator("#execute").first.click()
        expect(self.page.get_by_text("successfully added")).to_be_visible()
        deadline = time.monotonic() + JOB_SECONDS
        while True:
            outputs = [item for hid, item in sorted(self.history().items()) if hid > before and item["visible"]]
            states = {item.get("populated_state" if "collection_type" in item else "state") for item in outputs}
            if outputs and states <= ENDED:
                break
            check(time.monotonic() < deadline, f"the job has not ended after {JOB_SECONDS} s: {states}")
            self.page.wait_for_timeout(1000)
        check(states == {state}, f"the outputs are {states}, not {state}: {[item['name'] for item in outputs]}")
        for item in outputs:
            in_history = self.page.locator(f'.content-item[data-hid="{item["hid"]}"][data-state="{state}"]')
            expect(in_history).to_be_visible()
        return outputs

    def look_at(self, dataset):
        """Click on the eye of a dataset in the history."""
        self.page.locator(f'.content-item[data-hid="{dataset["hid"]}"] .display-btn').first.click()
        self.page.wait_for_timeout(2500)

    def shown_table(self):
        """The table in the middle of the window, as a list of rows of text."""
        expect(self.page.locator("#center table tr").nth(1)).to_be_visible()
        read = "rows => rows.map(row => [...row.querySelectorAll('th, td')].map(cell => cell.innerText.trim()))"
        return self.page.locator("#center table tr").evaluate_all(read)


def same_cell(shown, written):
    """Whether a cell shows what the file says, numbers maybe with fewer digits."""
    try:
        return shown == written or abs(float(shown) - float(written)) <= 1e-6 * max(1, abs(float(written)))
    except ValueError:
        return False


def register(user, state):
    page, name = user.page, f"biologist-{secrets.token_hex(3)}"
    page.goto(f"{user.url}/register/start")
    fields = {"email": f"{name}@example.org", "password": "secret-123", "confirm": "secret-123", "username": name}
    for field, value in fields.items():
        page.fill(f"input[name={field}]", value)
    user.shot("01_register")
    page.click("button[name=create]")
    expect(page.locator("#activity-upload")).to_be_visible()
    expect(page.get_by_text(name).first).to_be_visible()
    page.wait_for_timeout(1500)
    user.shot("02_welcome")


def upload(user, state):
    page = user.page
    page.click("#activity-upload")
    with page.expect_file_chooser() as chooser:
        page.locator("button", has_text="Choose local file").filter(visible=True).click()
    chooser.value.set_files([TEST_DATA / name for name in UPLOADS])
    expect(page.get_by_text(f"You added {len(UPLOADS)} file(s)")).to_be_visible()
    user.shot("03_upload", docs="upload", of=".modal-content:visible, .g-modal-content:visible, dialog[open]")
    page.locator("button", has_text=re.compile(r"^\s*Start\s*$")).filter(visible=True).click()
    expect(page.locator('.content-item[data-state="ok"]')).to_have_count(len(UPLOADS), timeout=JOB_SECONDS * 1000)
    close = page.locator("button", has_text=re.compile(r"^\s*Close\s*$")).filter(visible=True)
    if close.count():
        close.first.click()
    kinds = {item["name"]: item["extension"] for item in user.history().values()}
    wanted = {name: name.removeprefix(Path(name).stem.split(".")[0]).lstrip(".") for name in UPLOADS}
    check(kinds == wanted, f"Galaxy took the files for {kinds}")
    user.shot("04_uploaded")


def forms(user, state):
    """Every form says what it needs, has a model chosen, and can be run as it stands if its files are there."""
    for number, tool in enumerate(TOOLS):
        user.open_tool(tool)
        if tool not in ("compare_groups", "split", "collapse"):
            model = user.page.locator('[id="form-element-model|installed"] .multiselect__single')
            expect(model).to_have_text(re.compile("Demonstration Mixtral"))
            expect(user.page.locator("#execute").first).to_be_enabled()
        help_text = user.page.locator(".form-help").inner_text()
        check(len(help_text) > 400, f"the form of {tool} has hardly any help")
        user.tall_shot(f"10_form_{number}_{tool}")


def score_pairs(user, state):
    """Two groups, the second gzipped; the tool is found as a user finds it."""
    page = user.page
    page.goto(user.url)
    page.fill("#toolbox-panel .search-query", "mutation pairs")
    page.locator("#toolbox-panel a", has_text="Score mutation pairs").first.click()
    expect(page.locator("#execute").first).to_be_visible()
    page.wait_for_timeout(1500)
    tables = []
    for group, extension in (("snv", "fasta"), ("indel", "fasta.gz")):
        if tables:
            user.open_tool("score_pairs")
        user.choose("wild_type", f"{group}_wild_type.{extension}")
        user.choose("mutant", f"{group}_mutant.{extension}")
        user.shot(f"20_score_pairs_{group}", docs="score_pairs_form" if group == "snv" else None)
        tables += user.run_tool()
    state["tables"] = tables


def score_table(user, state):
    """The table shows the file's numbers."""
    for table, n_pairs in zip(state["tables"], (200, 114), strict=True):
        written = [line.split("\t") for line in user.content(table).decode().splitlines()]
        check(len(written) == n_pairs + 1, f"the table has {len(written) - 1} rows, not {n_pairs}")
        user.look_at(table)
        shown = user.shown_table()
        check(len(shown) > 10, f"only {len(shown)} rows are shown")
        for row, expected in zip(shown, written, strict=False):
            is_same = len(row) == len(expected) and all(map(same_cell, row, expected))
            check(is_same, f"the page shows {row}, the file has {expected}")
        user.shot(f"21_score_table_{n_pairs}", docs="score_table" if n_pairs == 200 else None, height=560)


def compare_groups(user, state):
    user.open_tool("compare_groups")
    user.clear("source|tables")
    for table in state["tables"]:
        user.choose("source|tables", table["name"])
    user.page.locator("#center").get_by_text("Tool Parameters").click()
    user.page.wait_for_timeout(800)
    user.shot("30_compare_groups", docs="compare_groups_form")
    outputs = user.run_tool()
    kinds = [output["extension"] for output in outputs]
    check(kinds == ["tabular", "tabular", "png", "tool_markdown"], f"the outputs are {kinds}")
    state["comparison"] = dict(zip(("tests", "summary", "plot", "report"), outputs, strict=True))


def is_image_shown(image):
    expect(image).to_be_visible()
    return image.evaluate("image => image.complete && image.naturalWidth") > 0


def plot(user, state):
    """The picture is shown, not only linked."""
    user.look_at(state["comparison"]["plot"])
    user.shot("31_plot")
    frames = [frame for frame in user.page.frames if frame.locator("img").count()]
    images = [image for frame in frames for image in frame.locator("img").filter(visible=True).all()]
    check(any(is_image_shown(image) and image.bounding_box()["width"] > 300 for image in images), "no plot is shown")


def report(user, state):
    """The report says in words what the table of tests has in numbers, and shows the plot."""
    page = user.page
    tests = [line.split("\t") for line in user.content(state["comparison"]["tests"]).decode().splitlines()]
    rank_sum = dict(zip(tests[0], tests[1], strict=True))
    page.goto(f"{user.url}/datasets/{state['comparison']['report']['id']}/report")
    image = page.locator("#center img").filter(visible=True).first
    check(is_image_shown(image), "the report does not show its plot")
    text = page.locator("#center").inner_text()
    for table in state["tables"]:
        check(table["name"] in text, f"the report does not name the group {table['name']}")
    auc = float(rank_sum["auc"])
    sizes = [rank_sum["n_a"], rank_sum["n_b"]]
    if auc < 0.5:  # the sentence begins with the higher group
        sizes.reverse()
    answer = f"AUC {max(auc, 1 - auc):.3f}, 95 % interval"
    words = ("Mann–Whitney U", answer, f"n = {' and '.join(sizes)}.", f"{auc:.3f}", "How to read this")
    for word in words:
        check(word in text, f"the report does not say {word!r}")
    user.tall_shot("32_report")
    if user.docs_images:
        page.set_viewport_size({"width": WIDTH, "height": 1500})
        page.wait_for_timeout(800)
        user.shot("32_report_top", docs="report", height=1150)
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    for number, name in enumerate(("tests", "summary")):
        user.look_at(state["comparison"][name])
        user.shown_table()
        user.shot(f"33_{number}_{name}")


def other_tools(user, state):
    """The other tools with their defaults, and what they show."""
    user.open_tool("mutagenesis")
    user.choose("dna|sequences", "cftr_wild_type.fasta")
    table, heatmap = user.run_tool()
    user.look_at(table)
    check(len(user.shown_table()) > 10, "the table of mutations is not shown")
    user.shot("40_mutagenesis_table")
    user.look_at(heatmap)
    user.shot("41_mutagenesis_heatmap")
    user.open_tool("score_variants")
    scores, vcf = user.run_tool()
    user.look_at(scores)
    check("ref_mismatch" in str(user.shown_table()), "the table of variants does not show its statuses")
    user.shot("42_variants_table")
    user.look_at(vcf)
    user.shot("43_variants_vcf")
    user.open_tool("embed")
    user.choose("input", "cftr_wild_type.fasta")
    user.look_at(user.run_tool()[0])
    user.shot("44_embeddings")
    user.open_tool("split")
    user.choose("what|wild_type", "snv_wild_type.fasta")
    user.choose("what|mutant", "snv_mutant.fasta")
    user.page.locator('[id="form-element-size"] input').first.fill("100")
    check(len(user.run_tool()) == 2, "splitting gives not two lists")
    user.shot("45_split")


def wrong_file(user, state):
    """A protein instead of DNA: the dataset turns red and says so."""
    page = user.page
    user.open_tool("score_pairs")
    user.choose("wild_type", "bad_protein.fasta")
    user.choose("mutant", "cftr_wild_type.fasta")
    (red,) = user.run_tool(state="error")
    item = page.locator(f'.content-item[data-hid="{red["hid"]}"]')
    item.click()
    message = item.get_by_text(re.compile("wild-type FASTA.*is not a nucleotide code"))
    expect(message).to_be_visible()
    page.wait_for_timeout(800)
    user.shot("50_red_dataset", docs="error", of=f'.content-item[data-hid="{red["hid"]}"]')
    check("Traceback" not in item.inner_text(), "the message is a traceback")
    page.goto(f"{user.url}/datasets/{red['id']}/error")
    expect(page.locator("#center").get_by_text(re.compile("is not a nucleotide code"))).to_be_visible()
    page.wait_for_timeout(800)
    user.shot("51_error_page")


def tour(user, state):
    """The interactive tour, step by step to its end."""
    page = user.page
    page.goto(f"{user.url}/tours")
    expect(page.get_by_text("What does a mutation do?").first).to_be_visible()
    user.shot("60_tours")
    n_steps = len(user.get(f"/api/tours/{TOUR}").json()["steps"])
    page.goto(f"{user.url}/tours/{TOUR}")
    page.locator("button", has_text="Create New History").filter(visible=True).click()
    for number in range(1, n_steps + 1):
        step = page.locator(".tour-element")
        expect(step).to_be_visible(timeout=JOB_SECONDS * 1000)
        title = step.locator(".tour-title").inner_text()
        page.wait_for_timeout(1000)
        user.shot(f"61_tour_{number:02}")
        print(f"    {number}. {title}", flush=True)
        if number == n_steps:
            step.locator(".tour-end").click()
        else:
            step.locator(".tour-next").click()
            expect(step.locator(".tour-title")).not_to_have_text(title, timeout=JOB_SECONDS * 1000)
    expect(page.locator(".tour-element")).to_have_count(0)
    # The numbers of the tutorial's two mutations, as in the wrapper's tests.
    table = user.content(user.history()[3]).decode()
    for row in ("ATT_to_ATA\tok\t33\t33\t1\t.*\t16\\.068", "TCT_deletion\tok\t33\t30\t3\t.*\t22\\.63"):
        check(re.search(row, table), f"the tour's table does not have the scores: {table}")


STEPS = {
    "a new user registers": register,
    "files are uploaded, two of them gzipped": upload,
    "every form": forms,
    "pairs of two groups are scored": score_pairs,
    "the score tables": score_table,
    "the groups are compared": compare_groups,
    "the plot": plot,
    "the report": report,
    "the other tools": other_tools,
    "a wrong file": wrong_file,
    "the interactive tour": tour,
}


def on_the_page(page):
    """A few words of what the window shows, for a message."""
    texts = [*page.locator("#center").all_inner_texts(), *page.locator("body").all_inner_texts()]
    return " ".join(next((text for text in texts if text.strip()), "nothing").split())[:300]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of a running Galaxy with the suite")
    parser.add_argument("screenshots", type=Path, help="folder for the screenshots")
    parser.add_argument("--docs-images", type=Path, help="folder for the documentation's pictures")
    arguments = parser.parse_args()
    arguments.screenshots.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PAGE_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(PAGE_SECONDS * 1000)
        user, state = User(page, arguments.url, arguments.screenshots, arguments.docs_images), {}
        for number, (name, step) in enumerate(STEPS.items(), start=1):
            print(f"{number}. {name}", flush=True)
            start = time.monotonic()
            try:
                step(user, state)
            except (Error, AssertionError, CheckError) as error:
                page.screenshot(path=arguments.screenshots / "failure.png")
                reason = " ".join(str(error).split())[:300]
                print(f"FAILED: step {number}, {name}: {reason}; the page shows: {on_the_page(page)}")
                sys.exit(1)
            print(f"    ok after {time.monotonic() - start:.0f} s", flush=True)
        browser.close()
    print(f"{len(STEPS)} passed, 0 failed; screenshots: {arguments.screenshots}")


if __name__ == "__main__":
    main()
