"""The catalogue of every metric Nissa exposes about itself."""
