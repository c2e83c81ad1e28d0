"""This package keeps the run directory: journal of model attempts, event segments, manifest, digest, readers."""
