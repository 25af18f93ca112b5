"""What every command does alike: one line for bad input, exit codes, warnings as lines."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from typing import NoReturn

from xsim.errors import XsimError, one_line

__all__ = ["CommandParser", "run_command"]

BAD_INPUT, STOPPED = 2, 130
#: Packages of the extras, asked for by what needs them.
EXTRAS = {"torch": "train", "safetensors": "train", "skimage": "train", "matplotlib": "train", "spekpy": "spectra",
          "cascadio": "cad", "distributed": "dask", "pydicom": "dicom", "onnxruntime": "onnx",
          "onnxscript": "onnx"}  # fmt: skip


class CommandParser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def run_command(program: str, options: argparse.Namespace, stopped: str = "stopped") -> int:
    """Run ``options.run(options)``.

    Parameters
    ----------
    program : str
        Name that begins each line on stderr.
    options : Namespace
    stopped : str
        What to say after an interrupt.

    Returns
    -------
    int
        0: done; 2: bad input or a place that cannot be written, one line on stderr; 130: stopped.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"{program}: warning: {message}", file=sys.stderr)
        try:
            options.run(options)
        except XsimError as error:
            print(f"{program}: {one_line(error)}", file=sys.stderr)
            return BAD_INPUT
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            need = f"pip install 'xsim[{EXTRAS[error.name]}]'"
            print(f"{program}: {error.name} is not installed (it is needed here) {need}", file=sys.stderr)
            return BAD_INPUT
        except KeyboardInterrupt:
            print(f"{program}: {stopped}", file=sys.stderr)
            return STOPPED
        except BrokenPipeError:
            # the reader of a pipe has seen enough; nothing may be flushed to it at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
