"""What is written: tables, tracks, figures, Markdown. Nothing here knows a model."""
