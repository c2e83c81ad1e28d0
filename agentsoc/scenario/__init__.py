"""A scenario file in, checked frozen models out; parts are found by entry points. See `load` for the way in."""
