"""Objectives that come with Nissa."""
