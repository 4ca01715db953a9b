"""Users of the API: roles, passwords, API tokens, sessions of browsers; the audit log of what they changed."""
