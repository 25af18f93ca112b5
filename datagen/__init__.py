"""datagen: training corpora of simulated radiographs, from a corpus file to samples to train on.

Make one with ``datagen.generate("corpus.toml", "out.zarr", workers=2)``, read it with
``datagen.open_corpus("out.zarr").subset(split="train")[0]``.
"""

from datagen.corpus import Corpus, CorpusView, open_corpus
from datagen.corpus_file import CorpusFile, corpus_from_dict, load_corpus
from datagen.driver import Summary, generate
from datagen.merging import Merged, merge
from datagen.scenes import DrawnScene, draw_scene
from datagen.shard import write_shard
from datagen.verification import Verdict, verify

__all__ = [
    "Corpus",
    "CorpusFile",
    "CorpusView",
    "DrawnScene",
    "Merged",
    "Summary",
    "Verdict",
    "corpus_from_dict",
    "draw_scene",
    "generate",
    "load_corpus",
    "merge",
    "open_corpus",
    "verify",
    "write_shard",
]
