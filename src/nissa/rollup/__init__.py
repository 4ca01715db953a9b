"""The ladder: samples folded into windows, windows into wider windows, and the figures told of them."""
