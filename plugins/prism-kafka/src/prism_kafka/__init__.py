"""Apache Kafka as a backend of Prism. `plugin` names the slots; it alone is imported before one is opened.

May import `prism.model`, `prism.plugins` and `prism.slots`; nothing of Prism imports it.
"""
