"""DNA language models score mutations: read -> tokenise -> forward -> pool -> score -> write.

`dna_lm.api` is the way in from Python; `dna_lm.commands` has what the command line and the Galaxy tools call.
"""

__version__ = "0.1.0"
