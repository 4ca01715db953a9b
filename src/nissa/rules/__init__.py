"""Recording and alerting rules: their files, evaluation at one time, unit tests, and what would have fired before."""
