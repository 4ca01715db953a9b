"""Delivers notifications: one file for each kind of channel, the queue of a channel, and the dispatcher of all."""
