"""The wire contract, generated from proto/prism/v1 by `make proto`. Not edited by hand."""
