"""The pictures of the viewer: SVG made in Python, each with a title, a description and a table of the same figures.

A chart is a pure function from the data of a page to a `Chart`. Colours are classes (`c1` to `c8`, safe for the colour
blind, never the only mark of a difference) over CSS variables that `style` sets for light and dark; without any style
sheet the attributes give the light ones. Axes always have at least two ticks and never span a single point, and labels
that would lie on each other are moved apart or left to the table.
"""
