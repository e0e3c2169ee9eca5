"""Plugins: what one declares (SlotSpec, capabilities), the pluggy hook, and the loader that finds them.

A plugin module imports no driver library; the factory's module does, when a slot is opened.
"""
