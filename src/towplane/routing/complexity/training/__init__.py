"""Learning a scorer from labelled prompts. Never imported by a worker: it needs NumPy and SciPy."""
