"""Corpora as torch datasets. This package alone of datagen imports torch; ``import datagen`` does not."""

try:
    import torch  # noqa: F401
except ImportError:
    raise ImportError("torch is not installed (datasets need it) pip install 'xsim[train]'") from None

from datagen.torch_data.corpus_stream import CorpusStream
from datagen.torch_data.random_access import CorpusDataset
from datagen.torch_data.simulated import SimulatedDataset

__all__ = ["CorpusDataset", "CorpusStream", "SimulatedDataset"]
