"""The commands of ``denoise``, a module each: ``add`` gives the parser its part."""
