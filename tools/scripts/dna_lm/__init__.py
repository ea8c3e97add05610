"""The library behind the tools: read -> tokenise -> forward -> pool -> score -> write.

Each module is one step and knows nothing of the steps after it, nor of Galaxy.
"""

__version__ = "0.1.0"
