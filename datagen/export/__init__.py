"""Corpora in the forms that other tools read."""

from datagen.export.job import Export, export_corpus

__all__ = ["Export", "export_corpus"]
