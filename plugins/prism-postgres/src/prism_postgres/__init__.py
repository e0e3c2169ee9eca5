"""PostgreSQL as a backend of Prism. The plugin is `plugin`; every other module is its own.

Imports `prism` and asyncpg; nothing of the core imports this.
"""
