"""Score tables in; tests, effect sizes, plot and report out. Nothing here knows a model."""
