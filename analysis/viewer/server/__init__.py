"""The server of `agentsoc view`: the pages of the viewer as JSON, and the browser's side of it, on the loopback alone.

`guard` lets nobody in without the token, `places` finds runs below one directory and keeps some open, `answers` makes
the data of each page, `assets` holds the files of `analysis/viewer/front`, `app` puts them together and `serve` runs
them. Nothing here writes: not into a run, and nowhere else.
"""
