"""Words of the house: frames, columns, receipts, tallies, errors. Data only; no I/O, no clock."""
