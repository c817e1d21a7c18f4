"""Step 4: people check what models proposed, on a page in the browser or in a table."""

from .server import serve
from .table import read_table_decisions, write_table


__all__ = ["read_table_decisions", "serve", "write_table"]
