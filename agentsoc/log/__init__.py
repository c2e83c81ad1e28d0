"""The run directory: journal of model attempts, event segments, manifest, digest, and how they are read."""
