"""The coordinator: register, enumerate, multicast, expiry and receipts over the three slots of each namespace.

Knows no transport. Imports `config`, `slots` and what is below them; `sessions` host the identities attached here.
"""
