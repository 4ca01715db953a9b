"""Where frames come from, one file per outside system."""
