"""The report of the viewer: one HTML document for any number of runs, comparisons, laws and phases; and notebook HTML.

`sources.read_source` finds out what a path is and reads it; `whole.document` makes the HTML of what was read. The
document has everything within it, makes no request, and runs one script whose hash its content security policy names.
`notebook` has the same pictures and tables without any script.
"""
