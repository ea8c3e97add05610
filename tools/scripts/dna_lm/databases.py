"""A private database for what does not fit into memory."""

import sqlite3
from contextlib import AbstractContextManager, closing


def private_database() -> AbstractContextManager[sqlite3.Connection]:
    """An SQLite database in a file of the temporary folder, removed when it is closed."""
    # An empty name makes SQLite keep it so.
    return closing(sqlite3.connect(""))
