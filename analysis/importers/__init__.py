"""This package imports logs of other systems as `analysis.tables.EventTable`: nothing dropped, every guess labelled."""
