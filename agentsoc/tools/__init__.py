"""Tools that come with agentsoc, one file each, found by entry point."""
