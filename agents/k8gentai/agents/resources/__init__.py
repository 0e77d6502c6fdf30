"""Resources as they are written in YAML: one model a kind, and one reader."""
