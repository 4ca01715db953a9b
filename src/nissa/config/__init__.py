"""The tree of settings an operator may write."""
