"""PromQL: parse an expression, plan what it reads, evaluate it over columns."""
