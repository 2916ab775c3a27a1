"""Sound bounds of a network over a region: lines, rounding, backward evaluation and its compiled kernel."""
