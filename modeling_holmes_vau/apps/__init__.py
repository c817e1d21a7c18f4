"""Pages for a browser, on top of everything that reads and asks about videos."""
