"""Plain data: identities, registrations, messages, deliveries, errors, limits, time. No I/O, no async.

The bottom layer: it imports nothing of the rest of Prism, and everything may import it.
"""
