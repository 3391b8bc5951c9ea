"""Detectors over rows of several features."""
