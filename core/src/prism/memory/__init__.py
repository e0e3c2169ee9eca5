"""The embedded backend: all three slots in the memory of one process, a plugin like any other.

It is reached through its entry point alone (`type: memory`). It may import `slots` and what lies below them.
"""
