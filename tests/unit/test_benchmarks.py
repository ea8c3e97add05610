"""The benchmark's arithmetic and its tables. Times are nowhere tested."""

import sys

import pytest

from conftest import ROOT, save_random_mixtral

sys.path.insert(0, str(ROOT / "benchmarks"))

import report
import work
import workload


@pytest.mark.parametrize("name", ["demo", "masked"])
def test_the_formula_counts_what_torch_counts(name, tmp_path):
    import torch
    import transformers
    from torch.utils.flop_counter import FlopCounterMode

    folder = workload.make_model(name, tmp_path)
    model_class = transformers.AutoModelForMaskedLM if name == "masked" else transformers.AutoModelForCausalLM
    model = model_class.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    if name == "demo":
        model.set_experts_implementation("eager")
    n_sequences, n_tokens = 3, 200
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.randint(5, 9, (n_sequences, n_tokens)))
    # Eager attention computes all keys of a sequence for each of its tokens, also those that are masked afterwards.
    reading = work.Reading(computed=n_sequences * n_tokens, keys=n_sequences * n_tokens**2)
    shape = work.Shape.of(workload.read_config(folder))
    # The angles of rotary positions are a small matrix product too.
    assert reading.flops(shape) == pytest.approx(counter.get_total_flops(), rel=1e-3)


def test_every_expert_that_is_chosen_counts(tmp_path):
    one, two = (
        work.Shape.of(workload.read_config(save_random_mixtral(tmp_path / str(k), num_experts_per_tok=k)))
        for k in (1, 2)
    )
    assert two.block - one.block == 3 * 2 * 32 * 48


# Wild type and mutant of 4 tokens that share 2; then of 3 and 5 tokens that share 1.
PAIRS = [([1, 5, 6, 7], [1, 5, 8, 7]), ([1, 5, 6], [1, 7, 8, 9, 6])]


def test_a_shared_prefix_is_computed_once():
    reading = work.prefix_once(PAIRS, is_causal=True)
    # Tokens 1 to n of a sequence attend to 1 to n keys.
    keys = (1 + 2 + 3 + 4) + (3 + 4) + (1 + 2 + 3) + (2 + 3 + 4 + 5)
    assert (reading.scored, reading.given, reading.computed, reading.keys) == (2, 16, 6 + 7, keys)


@pytest.mark.parametrize(("batch", "computed"), [(1, 4 + 4 + 3 + 5), (2, 2 * 4 + 2 * 5), (None, 2 * 4 + 2 * 5)])
def test_padding_is_computed(batch, computed):
    reading = work.padded(PAIRS, is_causal=True, batch=batch)
    assert (reading.scored, reading.given, reading.computed) == (2, 16, computed)


def test_pairs_of_more_than_one_changed_token_are_not_counted():
    reading = work.one_token_changes([*PAIRS, ([1, 2], [2, 1])], is_causal=True)
    assert (reading.scored, reading.given, reading.computed, reading.keys) == (1, 8, 8, 2 * (1 + 2 + 3 + 4))


def test_pairs_differ_in_the_middle_base_and_are_the_same_every_time():
    size = workload.Size.parse("20x201")
    pairs = workload.make_pairs(size)
    assert pairs == workload.make_pairs(size) and len(pairs) == 20
    for wild_type, mutant in pairs:
        assert [place for place in range(201) if wild_type[place] != mutant[place]] == [100]


def outcome(seconds, scored=100, **more):
    return report.Outcome("a title", work.Reading(scored, given=200, computed=150), 10**9, None, seconds, **more)


def test_a_table_holds_medians_and_reasons():
    outcomes = {
        "ours": outcome([1.0, 2.0, 4.0], peaks=[2 * 10**9] * 3),
        "tutorial-whole": outcome([], reason="not run: too large"),
    }
    shape = work.Shape(layers=2, block=10, attention=1, head=5, is_causal=True)
    cell = report.Cell("17M", workload.Size(200, 201), "float32", shape, outcomes, {"torch": [1000.0, 3750.0, 9000.0]})
    header, _, ours, refused = report.results([cell]).splitlines()
    assert "50 (25–100)" in ours and "100 of 200" in ours and "150 / 200 = 0.75" in ours and "2.00 (1.00)" in ours
    # 150 tokens * (2 layers * 10 + head 5) / 2 s
    assert "| 50% |" in ours
    assert "not run: too large" in refused
    assert len({line.count("|") for line in (header, ours, refused)}) == 1


def test_the_prose_around_the_results_is_kept():
    text = "before\n<!-- here -->\nold\n<!-- /here -->\nafter\n"
    new = report.replace_between_markers(text, "here", "new \\1")
    assert new == "before\n<!-- here -->\n\nnew \\1\n\n<!-- /here -->\nafter\n"
    assert report.replace_between_markers(new, "here", "new \\1") == new
    with pytest.raises(ValueError, match="not once"):
        report.replace_between_markers(text, "elsewhere", "new")


def test_the_readme_has_a_place_for_each_device():
    readme = (ROOT / "benchmarks" / "README.md").read_text()
    for device in ("cpu", "cuda"):
        report.replace_between_markers(readme, f"results on {device}", "")
