"""Service level objectives: their files, error budgets and burn, the rules that watch them, snapshots."""
