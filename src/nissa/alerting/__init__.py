"""Alerts: their life from pending to resolved, and their routing: route tree, groups, silences, inhibition.

Pure automata: time is an argument, and nothing here waits. ``notifiers/`` delivers what it decides.
"""
