"""Generated protobuf classes: slow paths and test oracles only."""
