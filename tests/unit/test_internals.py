"""What the suite relies on and other libraries do not document: each test names what an upgrade has changed.

And the suite without those names: it loads the same models, and computes the same numbers within rounding.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, core_model_loading
from transformers.activations import ACT2FN

import random_models
from conftest import ROOT, TEST_DATA
from dna_lm.engine import encoder, products
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.model import internals

SCRIPTS = ROOT / "tools" / "scripts"
SEQUENCES = ["ACGTTGCATTAGCCGATACC", "ACGTTGCATTAGCGGATACC", "ACG", "ACGTTGCATT" * 9]


# --- no other module uses such a name ------------------------------------------------------------------------------

# Submodules that their libraries document.
DOCUMENTED = {"torch.nn", "torch.nn.functional", "transformers.modeling_outputs", "huggingface_hub.errors"}
LIBRARIES = {"torch", "transformers", "tokenizers", "safetensors", "huggingface_hub"}
# Of Python's named tuples.
DOCUMENTED_NAMES = {"_replace", "_asdict", "_fields", "_make"}


def private_names(source):
    """Lines and names where a module reaches into other objects' or libraries' internals."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            of_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            is_dunder = node.attr.startswith("__") and node.attr.endswith("__")
            changes_dunder = is_dunder and not isinstance(node.ctx, ast.Load)
            is_private = node.attr.startswith("_") and not is_dunder and node.attr not in DOCUMENTED_NAMES
            if changes_dunder or (is_private and not of_self):
                yield node.lineno, node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr", "hasattr"):
            if isinstance(node.args[1], ast.Constant) and str(node.args[1].value).startswith("_"):
                yield node.lineno, node.args[1].value
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for module in modules:
                if "." in module and module.partition(".")[0] in LIBRARIES and module not in DOCUMENTED:
                    yield node.lineno, module
            for alias in node.names:
                if alias.name.startswith("_") and not alias.name.endswith("__"):
                    yield node.lineno, alias.name


@pytest.mark.parametrize("module", sorted(SCRIPTS.rglob("*.py")), ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_only_one_module_uses_private_names(module):
    names = list(private_names(module.read_text()))
    if module.name == "cli.py":
        # argparse does not document how to list the options of a parser.
        names = [(line, name) for line, name in names if name != "_actions"]
    if module.name == "unpickling.py":
        # It runs as a separate process and does not import transformers, unlike `internals`.
        of_torch = {"_open_zipfile_reader", "_load", "_weights_only_unpickler"}
        names = [(line, name) for line, name in names if name not in of_torch]
    if module.name == "internals.py":
        assert names
    else:
        assert not names, f"{module} uses names that may go away without notice: {names}"


@pytest.mark.parametrize(
    "source",
    [
        "model._attn_implementation",
        "module.__class__ = Other",
        "hasattr(backend, '_resize_cache')",
        "from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS",
        "import transformers.masking_utils",
        "from torch import _C",
    ],
)
def test_a_private_name_is_found(source):
    assert list(private_names(source))
    assert not list(private_names("self._a; type(x).__name__; a._replace(b=1); from torch.nn.functional import pad"))


# Hooks of transformers for classes of models: what a class states about its weights.
HOOKS = {"_tied_weights_keys", "_keys_to_ignore_on_load_unexpected", "_keep_in_fp32_modules_strict", "_init_weights"}


@pytest.mark.parametrize("module", sorted((SCRIPTS / "dna_lm" / "families").glob("*.py")), ids=lambda path: path.stem)
def test_model_classes_override_known_hooks_only(module):
    """Read from the source: transformers adds names to a class when it loads a model."""
    classes = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ClassDef)]
    names = set()
    for statement in (statement for node in classes for statement in node.body):
        if isinstance(statement, ast.FunctionDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names |= {target.id for target in targets}
    overridden = {name for name in names if re.match("_[^_]", name) and hasattr(PreTrainedModel, name)}
    assert overridden <= HOOKS
    assert all(hasattr(PreTrainedModel, hook) for hook in HOOKS)


# --- torch and the C library ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch is built without oneDNN")
@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
def test_onednn_product_equals_a_linear_layer(has_bias, silu):
    torch.manual_seed(0)
    rows, weight = torch.randn(64, 40), torch.randn(24, 40)
    bias = torch.randn(24) if has_bias else None
    outputs = internals.onednn_linear(rows, weight, bias, silu)
    assert outputs is not None, "torch.ops.mkldnn._linear_pointwise is gone: products are torch's own, and slower"
    expected = torch.nn.functional.linear(rows.double(), weight.double(), None if bias is None else bias.double())
    expected = torch.nn.functional.silu(expected) if silu else expected
    torch.testing.assert_close(outputs.double(), expected, rtol=1e-5, atol=1e-5)
    arranged = internals.arranged_for_onednn(weight)
    assert arranged.is_mkldnn, "torch.ops.mkldnn._reorder_linear_weight is gone: products are slower"
    of_arranged = internals.onednn_linear(rows, arranged, bias, silu)
    torch.testing.assert_close(of_arranged.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_module_takes_the_methods_of_a_subclass():
    class Doubled(torch.nn.Linear):
        def forward(self, inputs):
            return 2 * super().forward(inputs)

    layer = torch.nn.Linear(4, 3)
    parent, inputs = torch.nn.Sequential(layer), torch.randn(5, 4)
    before = parent(inputs)
    internals.change_class(layer, Doubled)
    assert torch.equal(parent(inputs), 2 * before)


KEPT_MEMORY = """
from dna_lm.model import internals

def resident():
    with open("/proc/self/statm") as handle:
        return int(handle.read().split()[1]) * 4096

def freed():
    block = bytearray(2**27)
    used = resident()
    del block
    return (used - resident()) / 2**27

print(freed())
assert internals.keep_freed_memory()
print(freed())
"""


@pytest.mark.skipif(not internals.keep_freed_memory(), reason="the C library is not glibc")
def test_the_c_library_keeps_freed_memory():
    """In another process: a freed block of 128 MiB is given back before the call, and kept after it."""
    command = [sys.executable, "-c", KEPT_MEMORY]
    finished = subprocess.run(command, env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, check=True)
    assert [float(share) for share in finished.stdout.split()] == pytest.approx([1, 0], abs=0.1)


# --- transformers: what a model computes with ----------------------------------------------------------------------


def test_weights_are_loaded_one_after_the_other(random_mixtral, monkeypatch):
    """With threads, transformers would make many weights before it merges those of a layer's experts."""
    monkeypatch.setattr(core_model_loading, "ThreadPoolExecutor", None)
    load_checkpoint(random_mixtral)


def mappings(path):
    """How many times a file is mapped into this process."""
    return Path("/proc/self/maps").read_text().count(str(path))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="not Linux")
def test_a_weight_that_is_copied_has_a_mapping_of_its_own(tmp_path):
    path = tmp_path / "model.safetensors"
    stored = {"kept": torch.ones(8, 8), "other.experts.0.w1.weight": torch.ones(8, 8)}
    stored["precise"] = torch.ones(8, 8, dtype=torch.bfloat16)
    save_file(stored, path)
    weights = internals.stored_weights([path], torch.float32)
    for name, tensor in stored.items():
        assert torch.equal(weights[name][...], tensor) and torch.equal(weights[name][2:4], tensor[2:4])
    before = mappings(path)
    kept = [weights["kept"][...], weights["kept"][1:]]
    assert mappings(path) == before
    copied = [weights[name][...] for name in stored if name != "kept"]
    assert mappings(path) == before + 2
    del copied
    assert mappings(path) == before
    assert len(kept) == 2


def tiny(family, **settings):
    """A model of random weights in evaluation mode, not prepared by the suite."""
    known = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4}
    config = AutoConfig.for_model(
        family, vocab_size=20, **known | {"intermediate_size": 48, "pad_token_id": 0} | settings
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


IDS = torch.tensor([[1, 5, 7, 9, 3, 4, 8, 2]])


def test_tables_of_architectures_name_classes():
    assert internals.CAUSAL_CLASSES["mixtral"] == "MixtralForCausalLM"
    assert internals.MASKED_CLASSES["esm"] == "EsmForMaskedLM"
    for family in random_models.CAUSAL_FAMILIES:
        assert hasattr(transformers, internals.CAUSAL_CLASSES[family])
    for family in random_models.MASKED_FAMILIES:
        assert hasattr(transformers, internals.MASKED_CLASSES[family])


def test_saved_implementations_are_forgotten():
    config = AutoConfig.for_model("mixtral")
    config._attn_implementation = config._experts_implementation = "kernels-community/none"
    internals.forget_saved_implementations(config)
    assert (config._attn_implementation, config._experts_implementation) == (None, None)


def test_attention_is_replaced_with_what_the_trunk_is_given_and_put_back():
    model, calls = tiny("llama"), []

    def spy(module, query, key, value, attention_mask, scaling=None, tree=None, **options):
        calls.append((tree, attention_mask))
        return internals.sdpa_attention_forward(module, query, key, value, None, scaling=scaling, **options)

    transformers.AttentionInterface.register("spy", spy)
    transformers.AttentionMaskInterface.register("spy", internals.sdpa_mask)
    before = model(IDS).logits
    restore = internals.replace_attention(model, "spy")
    assert restore is not None, "transformers no longer lets one replace a Llama's attention, or renamed what says so"
    mask = torch.empty(1, 1, 0, 0)
    after = model.model(IDS, attention_mask=mask, tree="a tree", use_cache=False).last_hidden_state
    # An argument of the trunk, and a mask of four dimensions, come through to every layer.
    assert [tree for tree, _ in calls] == ["a tree"] * 2 and all(given is mask for _, given in calls)
    torch.testing.assert_close(model.lm_head(after), before)
    restore()
    assert torch.equal(model(IDS).logits, before) and len(calls) == 2


def test_attention_that_cannot_be_replaced_is_left_alone():
    # ALiBi is computed by Bloom itself.
    assert internals.replace_attention(tiny("bloom", n_head=4), "sdpa") is None


@pytest.mark.parametrize("n_repeats", [1, 3])
def test_heads_are_repeated_one_by_one(n_repeats):
    states = torch.randn(2, 4, 5, 6)
    expected = torch.stack([states[:, head // n_repeats] for head in range(4 * n_repeats)], dim=1)
    assert torch.equal(internals.repeat_heads(states, n_repeats), expected)


def test_experts_run_through_a_registered_function(monkeypatch):
    model, calls = tiny("mixtral", num_local_experts=4), []

    def spy(module, hidden_states, top_k_index, top_k_weights):
        calls.append((hidden_states.shape, top_k_index.shape, top_k_weights.shape))
        return products.expert_products(module, hidden_states, top_k_index, top_k_weights)

    before = model(IDS).logits
    internals.register_experts("spy", spy)
    model.set_experts_implementation("spy")
    torch.testing.assert_close(model(IDS).logits, before, rtol=1e-5, atol=1e-5)
    assert calls == [((8, 32), (8, 2), (8, 2))] * 2, "transformers gives experts other arguments, or does not ask"


@pytest.mark.parametrize(
    ("family", "is_plain"), [("mixtral", True), ("olmoe", True), ("gpt_oss", False), ("llama", False)]
)
def test_the_layout_of_experts_is_recognised(family, is_plain):
    assert internals.has_plain_experts(tiny(family)) == is_plain


@pytest.mark.parametrize(("name", "expected"), [("silu", True), ("swish", True), ("gelu", False), ("relu", False)])
def test_the_silu_is_recognised(name, expected):
    assert internals.is_silu(ACT2FN[name]) == expected


def test_a_head_reads_the_output_that_replaces_its_trunks():
    states = torch.randn(1, 3, 4)
    output = internals.TrunkOutput(last_hidden_state=states)
    assert output.last_hidden_state is output[0] is states
    assert output.router_logits is output.past_key_values is None


# --- transformers: what a model keeps of earlier sequences ---------------------------------------------------------


def test_dynamic_rotary_embeddings_are_reset():
    rope = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}
    rotary = tiny("llama", max_position_embeddings=8, rope_parameters=rope).model.rotary_emb
    check_reset(rotary, lambda n_tokens: rotary(torch.zeros(1), torch.arange(n_tokens)[None]))


def test_dynamic_rotary_embeddings_for_each_kind_of_layer_are_reset():
    kinds = {kind: {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4} for kind in KINDS}
    config = transformers.Gemma3TextConfig(max_position_embeddings=8, head_dim=8, rope_parameters=kinds)
    rotary = transformers.models.gemma3.modeling_gemma3.Gemma3RotaryEmbedding(config)
    for kind in KINDS:
        check_reset(rotary, lambda n_tokens, kind=kind: rotary(torch.zeros(1), torch.arange(n_tokens)[None], kind))


KINDS = ("full_attention", "sliding_attention")


def check_reset(rotary, run):
    assert internals.has_dynamic_rotary(rotary), "transformers renamed rope_type"
    short = run(8)[0]
    run(64)
    # What the reset is for: the longest sequence so far decides.
    assert not torch.equal(run(8 + 1)[0][:, :8], short)
    internals.reset_rotary_frequencies(rotary)
    assert torch.equal(run(8)[0], short), "transformers stores rotary frequencies under other names"


def test_other_rotary_embeddings_are_not_dynamic():
    assert not internals.has_dynamic_rotary(tiny("llama").model.rotary_emb)


def test_a_sparse_big_bird_is_sparse_again(tmp_path):
    folder = random_models.save_family(tmp_path, "big_bird")
    trunk = transformers.AutoModelForMaskedLM.from_pretrained(folder).bert.eval()
    long, short = torch.randint(5, 9, (1, 60)), torch.randint(5, 9, (1, 4))
    with torch.no_grad():
        sparse = trunk(long).last_hidden_state
        trunk(short)
        full = trunk(long).last_hidden_state
        internals.use_sparse_attention(trunk)
        again = trunk(long).last_hidden_state
    assert not torch.allclose(full, sparse), "a BigBird stays sparse: it need not be switched back any more"
    torch.testing.assert_close(again, sparse)


# --- tokenizers ----------------------------------------------------------------------------------------------------


def test_token_ids_are_those_of_the_tokenizer():
    tokenizer = transformers.AutoTokenizer.from_pretrained(TEST_DATA / "models" / "demo-mixtral")
    expected = tokenizer(SEQUENCES)["input_ids"]
    assert internals.token_ids(tokenizer, iter(SEQUENCES)) == expected
    slow = SimpleNamespace(encode_batch=tokenizer.backend_tokenizer.encode_batch)
    assert internals.token_ids(SimpleNamespace(backend_tokenizer=slow), SEQUENCES) == expected


# Growth in MiB over 6,000 sequences that are all new, before and after the call.
REMEMBERED_WORDS = """
import random, sys
from pathlib import Path
from transformers import PreTrainedTokenizerFast
from dna_lm.model import internals
from dna_lm.model.tokens.tokenizer import load_tokenizer

letters = random.Random(0)

def resident():
    with open("/proc/self/statm") as handle:
        return int(handle.read().split()[1]) / 256

def read_sequences(tokenizer, n_sequences):
    internals.token_ids(tokenizer, ("".join(letters.choices("ACGT", k=201)) for _ in range(n_sequences)))

def growth(tokenizer):
    # What the first sequences take is used again.
    read_sequences(tokenizer, 3000)
    used = resident()
    for _ in range(2):
        read_sequences(tokenizer, 3000)
    return resident() - used

print(growth(PreTrainedTokenizerFast.from_pretrained(sys.argv[1])))
print(growth(load_tokenizer(Path(sys.argv[1]))[0]))
"""


def test_sequences_are_not_kept_by_a_tokenizer():
    """In another process, where memory is only that of the tokenizer. Else it grows with the number of records."""
    command = [sys.executable, "-c", REMEMBERED_WORDS, TEST_DATA / "models" / "demo-mixtral"]
    finished = subprocess.run(command, env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, check=True)
    by_itself, loaded = map(float, finished.stdout.split())
    assert by_itself > 20 > 5 > loaded, (by_itself, loaded)
    model = SimpleNamespace()
    assert not internals.keep_no_words(SimpleNamespace(backend_tokenizer=SimpleNamespace(model=model)))


def test_a_panic_is_recognised():
    from tokenizers import Tokenizer, models, processors

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.post_processor = processors.TemplateProcessing(single="b $A", special_tokens=[("b", 1)])
    tokenizer = Tokenizer.from_str(tokenizer.to_str().replace('"special_tokens":{"b"', '"special_tokens":{"c"'))
    with pytest.raises(BaseException) as caught:
        tokenizer.encode("a")
    assert internals.is_panic(caught.value) and not isinstance(caught.value, Exception)
    assert not internals.is_panic(ValueError())


# --- without them --------------------------------------------------------------------------------------------------


def encoded(folder):
    loaded = load_checkpoint(folder)
    embeddings, ratios = encoder.encode(loaded, loaded.tokenise(SEQUENCES), Embedding(), True, Budget())
    return loaded, embeddings, ratios


@pytest.mark.parametrize(
    "missing",
    [
        (internals, "_linear_pointwise"),
        (internals, "_reorder_linear_weight"),
        (internals, "ALL_EXPERTS_FUNCTIONS"),
        (PreTrainedModel, "_can_set_attn_implementation"),
    ],
    ids=lambda missing: missing[1],
)
def test_without_a_name_numbers_are_the_same_within_rounding(random_mixtral, monkeypatch, missing):
    with_all, embeddings, ratios = encoded(random_mixtral)
    assert with_all.max_shared_tokens > 0
    monkeypatch.setattr(*missing, None)
    without, other_embeddings, other_ratios = encoded(random_mixtral)
    np.testing.assert_allclose(other_embeddings, embeddings, rtol=1e-5, atol=1e-5 * abs(embeddings).max())
    np.testing.assert_allclose(other_ratios, ratios, rtol=1e-5, atol=1e-4)
    assert (without.max_shared_tokens == 0) == (missing[1] == "_can_set_attn_implementation")
    if missing[1] == "ALL_EXPERTS_FUNCTIONS":
        assert not internals.has_plain_experts(without.trunk)


def test_without_mallopt_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(internals.ctypes, "CDLL", lambda _name: SimpleNamespace())
    assert not internals.keep_freed_memory()


def test_without_the_old_name_of_a_rotary_buffer_no_score_is_computed():
    rotary = tiny("llama", rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}).model.rotary_emb
    del rotary.original_inv_freq
    with pytest.raises(AttributeError, match="original_inv_freq"):
        internals.reset_rotary_frequencies(rotary)
