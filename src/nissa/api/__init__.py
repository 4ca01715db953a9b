"""The control API: queries, exports, status and administration over HTTP."""
