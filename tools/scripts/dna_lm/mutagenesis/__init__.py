"""Score every mutation: the stretches and their mutants, the heat map, tracks, dependencies, the report."""
