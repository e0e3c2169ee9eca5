"""A registry of Prism in an SQLite file."""
