"""Detectors of a change of level: of a mean, a rate, a spread. They keep a few numbers."""
