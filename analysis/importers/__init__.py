"""Importers: logs of other systems become an `analysis.tables.EventTable`, nothing dropped, every guess labelled."""
