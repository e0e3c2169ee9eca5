"""The queues of one partition as a state machine: records in, in the order of the log, answers out. No I/O, no clock.

Every proxy applies the same records to the same state, so nothing here may depend on anything else. May import
`prism.model` and `prism.slots`.
"""
