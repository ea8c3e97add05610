"""Embed sequences: the records and their groups, the table, the AnnData, the picture."""
