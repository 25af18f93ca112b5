"""The card of a store for machines: Croissant 1.0 (MLCommons), JSON-LD, of the data set as a whole.

Croissant has no record set that reads zarr, so the card names the files and leaves the arrays to the store's own
description.
"""

from __future__ import annotations

from typing import Any

from datagen.corpus_file import CorpusFile
from datagen.layout import Layout

__all__ = ["croissant"]

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
ZARR = "application/vnd.zarr"
# https://docs.mlcommons.org/croissant/docs/croissant-spec.html, appendix 1
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(corpus: CorpusFile, layout: Layout, root_sha256: str, version: str) -> dict[str, Any]:
    """The card, JSON-able.

    Parameters
    ----------
    corpus : CorpusFile
    layout : Layout
    root_sha256 : str
        Of the store's root description.
    version : str
        Of xsim.
    """
    header = corpus.header
    counted = f"{layout.samples} simulated radiographs of {header.scenes} scenes, with noise-free images and labels."
    if corpus.background is not None:
        counted = f"{layout.samples} real radiographs with simulated bodies in them, and labels."
    creator = {"@type": "sc:Organization", "name": f"xsim {version}, datagen generate"}
    if header.author:
        creator = {"@type": "sc:Person", "name": header.author}
    card: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": header.name,
        "description": " ".join(part for part in (header.description, counted) if part),
        "version": f"1.0.0+{corpus.sha256[:12]}",
        "keywords": ["X-ray", "radiography", "simulation", "denoising", "image restoration", "zarr"],
        "creator": creator,
        "distribution": [_root(root_sha256), *(_format(corpus, layout, place) for place in range(len(corpus.formats)))],
    }
    if header.license:
        card["license"] = header.license
    return card


def _root(sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": "zarr.json",
        "name": "zarr.json",
        "description": "Root of the zarr v3 group; its attributes hold the corpus file, its hash and all counts.",
        "contentUrl": "zarr.json",
        "encodingFormat": "application/json",
        "sha256": sha256,
    }


def _format(corpus: CorpusFile, layout: Layout, place: int) -> dict[str, Any]:
    each = corpus.formats[place]
    arrays = ", ".join(layout.arrays(each))
    return {
        "@type": "cr:FileSet",
        "@id": each.name,
        "name": each.name,
        "description": f"{layout.format_samples(place)} samples of {each.rows} x {each.columns} pixels: {arrays}.",
        "encodingFormat": ZARR,
        "includes": f"{each.name}/**",
    }
