"""How the arms are loaded. Produces facts, never opinions."""
