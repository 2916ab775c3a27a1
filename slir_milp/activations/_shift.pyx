# cython: boundscheck=False, wraparound=False, language_level=3
"""The compiled twin of :mod:`slir_milp.activations.touch`; use :mod:`slir_milp.activations.shift` instead."""

from libc.stdint cimport int8_t, int32_t
from libc.stdlib cimport free, malloc

import numpy as np


cdef extern from "curve.h" nogil:
    ctypedef struct slir_segment:
        pass
    ctypedef struct slir_curve:
        int segments, pieces, straight
        const double *knot
        const double *knot_low
        const double *knot_high
        const slir_segment *segment
        const int32_t *first
        const int8_t *curvature
        const int32_t *piece
        const double *steepness
    ctypedef struct slir_interval:
        double least, greatest
    void slir_prepare(const slir_curve *, double, double, slir_interval *)
    double slir_offset(const slir_curve *, double, double, const slir_interval *, double *)
    double slir_least_area(const slir_curve *, double, const slir_interval *, double *, double *)
    double slir_evaluate(const slir_curve *, double, double *)
    double slir_polynomial(const slir_segment *, double, double *)
    int slir_is_line(const slir_curve *, double, double)


cdef class Compiled:
    """A table as C reads it; ``address`` is that of a ``slir_curve`` and lives as long as this object."""

    cdef slir_curve curve
    cdef list kept

    def __cinit__(self, const double[::1] knots, const double[::1] knot_low, const double[::1] knot_high,
                  const double[:, ::1] segments, const int32_t[::1] first, const int8_t[::1] curvature,
                  const int32_t[::1] piece):
        if segments.shape[1] * sizeof(double) != sizeof(slir_segment):
            raise ValueError("a segment has another size than the compiled code expects")
        self.kept = [knots, knot_low, knot_high, segments, first, curvature, piece]
        self.curve.straight = bool(np.any(np.asarray(segments)[:, 12] == np.asarray(segments)[:, 13]))
        self.curve.segments, self.curve.pieces = segments.shape[0], curvature.shape[0]
        self.curve.knot, self.curve.knot_low, self.curve.knot_high = &knots[0], &knot_low[0], &knot_high[0]
        self.curve.segment = <const slir_segment *>&segments[0, 0]
        self.curve.first, self.curve.curvature, self.curve.piece = &first[0], &curvature[0], &piece[0]
        steepness = np.zeros(len(segments))
        cdef double[::1] slope = steepness
        cdef Py_ssize_t i
        for i in range(1, segments.shape[0]):
            slir_polynomial(&self.curve.segment[i], knots[i], &slope[i])
        self.kept.append(steepness)
        self.curve.steepness = &slope[0]

    @property
    def address(self):
        """Where the structure is."""
        return <size_t>&self.curve

    def offsets(self, double sign, const double[::1] slopes, const double[::1] lower, const double[::1] upper):
        """Offsets of lines above ``sign·f`` and where they touch."""
        cdef Py_ssize_t i, n = slopes.shape[0]
        cdef slir_interval interval
        cdef double[::1] offset = np.empty(n), at = np.empty(n)
        if lower.shape[0] != n or upper.shape[0] != n:
            raise ValueError("slopes and ends differ in number")
        with nogil:
            for i in range(n):
                slir_prepare(&self.curve, lower[i], upper[i], &interval)
                offset[i] = slir_offset(&self.curve, sign, slopes[i], &interval, &at[i])
        return np.asarray(offset), np.asarray(at)

    def least_area(self, double sign, const double[::1] lower, const double[::1] upper):
        """Slopes of the lines of least area above ``sign·f``, their offsets, and where they touch."""
        cdef Py_ssize_t i, n = lower.shape[0]
        cdef slir_interval interval
        cdef double[::1] slope = np.empty(n), offset = np.empty(n), at = np.empty(n)
        if upper.shape[0] != n:
            raise ValueError("the ends differ in number")
        with nogil:
            for i in range(n):
                slir_prepare(&self.curve, lower[i], upper[i], &interval)
                offset[i] = slir_least_area(&self.curve, sign, &interval, &slope[i], &at[i])
        return np.asarray(slope), np.asarray(offset), np.asarray(at)

    def slopes(self, const double[::1] lower, const double[::1] upper):
        """Least and greatest slope between which a line is worth considering."""
        cdef Py_ssize_t i, n = lower.shape[0]
        cdef slir_interval interval
        cdef double[::1] least = np.empty(n), greatest = np.empty(n)
        with nogil:
            for i in range(n):
                slir_prepare(&self.curve, lower[i], upper[i], &interval)
                least[i], greatest[i] = interval.least, interval.greatest
        return np.asarray(least), np.asarray(greatest)

    def is_line(self, const double[::1] lower, const double[::1] upper):
        """Whether the function is one line on each interval."""
        cdef Py_ssize_t i, n = lower.shape[0]
        result = np.empty(n, dtype=bool)
        for i in range(n):
            result[i] = slir_is_line(&self.curve, lower[i], upper[i])
        return result

    def values(self, const double[::1] x):
        """Plain values and slopes at points: no bounds."""
        cdef Py_ssize_t i, n = x.shape[0]
        cdef double[::1] value = np.empty(n), slope = np.empty(n)
        with nogil:
            for i in range(n):
                value[i] = slir_evaluate(&self.curve, x[i], &slope[i])
        return np.asarray(value), np.asarray(slope)
