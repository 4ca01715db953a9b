"""Sources of frames: one file or package per outside system."""
