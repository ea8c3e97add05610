"""Scores and labels in; metrics, baselines, tests, curves and report out. Nothing here knows a model."""
