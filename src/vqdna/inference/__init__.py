"""Trained models applied to sequence files."""
