"""This package shows what runs, comparisons, laws and phases hold: as plain data, as pictures, as one HTML document.

`pages` reads, `charts` draws, `document` puts both into an HTML file. Whoever builds another view (a server, say) takes
its data from `analysis.viewer.pages` and its pictures from `analysis.viewer.charts`; nothing here writes into a run,
calls a model or prints.
"""
