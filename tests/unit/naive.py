"""The same numbers computed another way: one sequence at a time, the whole model, plain torch. And the tutorial's code.

Shares nothing with the library but the model folder.
"""

import torch
from Bio.Seq import reverse_complement
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer


class Naive:
    """A model read with transformers' own classes; every method takes one sequence."""

    def __init__(self, folder, masked=False, head=True):
        model_class = (AutoModelForMaskedLM if masked else AutoModelForCausalLM) if head else AutoModel
        self.model = model_class.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.special = set(self.tokenizer.all_special_ids)

    def ids(self, sequence):
        return self.tokenizer(sequence, return_tensors="pt")["input_ids"]

    @torch.no_grad()
    def states(self, sequence, representation="logits", layer=-1):
        output = self.model(self.ids(sequence), output_hidden_states=True)
        return output.logits[0] if representation == "logits" else output.hidden_states[layer][0]

    def embedding(self, sequence, representation="logits", layer=-1, pooling="max", strand="forward"):
        if strand == "mean":
            both = [self.embedding(sequence, representation, layer, pooling, one) for one in ("forward", "reverse")]
            return (both[0] + both[1]) / 2
        states = self.states(reverse_complement(sequence) if strand == "reverse" else sequence, representation, layer)
        return {"max": states.max(dim=0)[0], "mean": states.mean(dim=0), "last": states[-1]}[pooling].double()

    def l2(self, wild_type, mutant, strand="forward", **how):
        if strand == "mean":
            return sum(self.l2(wild_type, mutant, one, **how) for one in ("forward", "reverse")) / 2
        difference = self.embedding(wild_type, strand=strand, **how) - self.embedding(mutant, strand=strand, **how)
        return torch.norm(difference).item()

    def causal_llr(self, wild_type, mutant):
        return self._log_likelihood(mutant) - self._log_likelihood(wild_type)

    def _log_likelihood(self, sequence):
        ids = self.ids(sequence)[0].tolist()
        logs = torch.log_softmax(self.states(sequence).double(), dim=-1)
        return sum(logs[i - 1, ids[i]].item() for i in range(1, len(ids)) if ids[i] not in self.special)

    @torch.no_grad()
    def masked_llr(self, wild_type, mutant):
        """Masked marginals for equal lengths, the difference of pseudo-log-likelihoods otherwise."""
        a, b = self.ids(wild_type)[0], self.ids(mutant)[0]
        if len(wild_type) == len(mutant) and len(a) == len(b):
            changed = (a != b).nonzero()[:, 0]
            masked = a.clone()
            masked[changed] = self.tokenizer.mask_token_id
            logs = torch.log_softmax(self.model(masked[None]).logits[0].double(), dim=-1)
            return sum((logs[i, b[i]] - logs[i, a[i]]).item() for i in changed.tolist())
        return self._pseudo_log_likelihood(b) - self._pseudo_log_likelihood(a)

    def _pseudo_log_likelihood(self, ids):
        total = 0.0
        for i, token in enumerate(ids.tolist()):
            if token not in self.special:
                masked = ids.clone()
                masked[i] = self.tokenizer.mask_token_id
                total += torch.log_softmax(self.model(masked[None]).logits[0, i].double(), dim=-1)[token].item()
        return total

    # The tutorial's two functions: the whole list is one batch, no attention mask, pooled over the padding.

    def tutorial_embedding(self, sequences):
        inputs = self.tokenizer(sequences, return_tensors="pt", padding=True)["input_ids"]
        hidden_states = self.model(inputs)[0].detach().cpu()
        return torch.max(hidden_states, dim=1)[0]

    def tutorial_effect(self, wild_types, mutants):
        return torch.norm(self.tutorial_embedding(mutants) - self.tutorial_embedding(wild_types), dim=1)
