"""Options that several commands have."""

from __future__ import annotations

import argparse

__all__ = ["add_common"]


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add --device and --force."""
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace what is there")
