"""Families of DNA language models that transformers does not implement, one module for each.

Each module is written from the papers and from the layout of the published weights. It has:

- `Config`, a `PreTrainedConfig`, and `configure(settings, shapes)`, which makes one from a checkpoint's config.json and
  the shapes of its weights, and raises `UserError` for settings that would change what the model computes in a way that
  the module does not follow;
- a `PreTrainedModel` with a language-model head, whose weights have the published names, registered with transformers'
  Auto classes, so that the rest of the library sees a model like any other. `has_mask = False` in its class says that
  it cannot be told which tokens are padding, and `is_unmasked = True` that a token's prediction is read without
  masking it;
- `matrix_product = staticmethod(torch.nn.functional.linear)` in the class of each module that multiplies by weights
  which are not those of a `torch.nn.Linear`: on the CPU, `model.products` puts its own product there;
- `IS_CAUSAL`, whether the model reads from left to right.

Where transformers has the architecture under other names, a module has only `configure`, which gives the configuration
of transformers' class, `IS_CAUSAL`, and `parts_of`, the class's names of a published weight, if they differ.

`registry` finds the family of a checkpoint, `settings` reads single settings, and `bert` has what two families share.
"""
