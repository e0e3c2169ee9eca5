"""`prism demo`: real airports through two real proxies, every claim checked against a plain computation of its own."""
