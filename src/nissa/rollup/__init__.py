"""The ladder: folds samples into windows and windows into wider ones, and reads them."""
