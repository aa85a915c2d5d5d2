-- A bitmap loses the order of its index: where the planner expects few jobs it would read all that match, and sort them.
SET LOCAL enable_bitmapscan = off;
