"""Known answers: what published weights gave for 32 pieces of DNA, to compare a model with.

The tables are of a public audit of 123 models (GLMap, github.com/ai4nucleome/GLMap, commit a654900, Apache-2.0).
"""
