"""Slots of several plugins in one namespace: which mixes there are, and the one scenario that each has to pass.

`backends` is the one place that lists the plugins of this repository with the servers they run on. Imports the public
client and the proxy, as an operator and an application would use them.
"""
