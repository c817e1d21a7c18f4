"""Who answers in words: a Holmes-VAU checkpoint, another of transformers, or a server."""
