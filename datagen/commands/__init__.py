"""The commands of ``datagen``, a module each: ``add`` gives the parser its part."""
