"""Linear and mixed-integer programs of regions: they propose lines, multipliers and points, and decide nothing."""
