"""Making annotations: what tools exchange them in."""
