"""`plane.yaml`: its types, its loading with all errors at once, its schema and its watch."""
