# cython: boundscheck=False, wraparound=False, language_level=3
"""The thin layer between NumPy arrays and the compiled kernel; use :mod:`slir_milp.bounding.kernel` instead."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

import numpy as np


cdef extern from "slir.h" nogil:
    ctypedef struct slir_curve:
        pass
    int LANES
    ctypedef struct slir_map:
        int rows, columns, stride
        const double *dense
        const int32_t *start
        const int32_t *column
        const double *value
        const double *bias
        const double *charge
        const double *negative
        const double *positive
        const int32_t *curve
    ctypedef struct slir_net:
        int inputs, depth, neurons, widest
        const slir_map *maps
        const int *first
        const slir_curve *const *curves
        const double *input_charge
        double offset_charge, underflow
    ctypedef struct slir_clause:
        int rows, outputs
        const double *coefficients
        const double *inputs
        const double *constants
        const double *cost
        const uint8_t *strict
        const double *least_width
    ctypedef struct slir_settings:
        int ascent_steps
        double first_step, decay, curve_step, curve_decay, patience
        int split_inputs, split_activations, warm_start, interval_step, use_half_space, report_tight
        double tight_tolerance
        int hand_crafted
        double least_interval, margin
    ctypedef struct slir_layout:
        int lower, upper, neuron_lower, neuron_upper, slope, weight, normal, offset, charge
        int has_half_space, has_slope, settled, depth, volume, bound, node, size
    ctypedef struct slir_counts:
        int64_t regions
        int64_t ended[7]
        int64_t input_splits, activation_splits, steps
        double closed_volume, max_depth
    ctypedef struct slir_stack:
        double *records
        int8_t *sides
        int64_t count, capacity
    ctypedef struct slir_log:
        int on, index_bytes, failed
        uint8_t *bytes
        size_t size, capacity
        uint64_t next_node
        const uint32_t *atoms
        const double *scales
    ctypedef struct slir_space:
        pass
    ctypedef struct slir_kernel:
        const char *name
        slir_space *(*open)(const slir_net *, const slir_clause *, const slir_settings *, const slir_log *)
        void (*close)(slir_space *)
        slir_log *(*log)(slir_space *)
        int (*analyse)(
            slir_space *, double *, int8_t *, int, double, const int *, double *, double *, double *, double *, double *
        ) noexcept nogil
        int (*explore)(
            slir_space *, slir_stack *, slir_stack *, int64_t, double, const int *, double *, slir_counts *
        ) noexcept nogil
        int (*descend)(slir_space *, const double *, double *, double, int, double, const int *, double *) noexcept nogil
        void (*evaluate)(slir_space *, const double *, double *) noexcept nogil
        int (*sharpen)(slir_space *, double *, const int8_t *, int, int, double, const int *) noexcept nogil
    slir_layout slir_layout_of(const slir_net *, const slir_clause *)
    const slir_kernel *slir_best_kernel()
    const slir_kernel *slir_kernel_named(const char *)


cdef const slir_kernel *_kernel(str name) except NULL:
    cdef const slir_kernel *kernel
    if not name:
        return slir_best_kernel()
    encoded = name.encode()
    kernel = slir_kernel_named(encoded)
    if kernel == NULL:
        raise ValueError(f"this processor or build has no kernel named '{name}'")
    return kernel


def available():
    """Names of the variants that this processor can run, the preferred one first."""
    return [name for name in ("avx2", "base") if slir_kernel_named(name.encode()) != NULL]


cdef class Net:
    """A network, its rounding charges included, as the kernel reads it."""

    cdef slir_net net
    cdef slir_map *maps
    cdef int *first
    cdef const slir_curve **curves
    cdef list kept

    def __cinit__(self, list maps, list curves, const double[::1] input_charge, double offset_charge, double underflow):
        """A network by its maps and its curves.

        Each map is ``(rows, columns, dense or None, (start, column, value) or None, bias, charge, negative, positive,
        curve or None)``, where ``curve`` numbers each row's entry in ``curves``.
        """
        cdef int k, depth = len(maps) - 1
        cdef const double[:, ::1] dense
        cdef const double[::1] vector
        cdef const int32_t[::1] whole
        self.kept = [input_charge, curves]
        self.curves = <const slir_curve **>calloc(len(curves) + 1, sizeof(void *))
        self.maps = <slir_map *>calloc(depth + 1, sizeof(slir_map))
        self.first = <int *>calloc(depth + 1, sizeof(int))
        if self.maps == NULL or self.first == NULL or self.curves == NULL:
            raise MemoryError
        for k in range(len(curves)):
            self.curves[k] = <const slir_curve *><size_t>curves[k].address
        self.net.curves = self.curves
        self.net.inputs = maps[0][1]
        self.net.depth = depth
        self.net.widest = self.net.inputs
        for k in range(depth + 1):
            rows, columns, matrix, triple, bias, charge, negative, positive, curve = maps[k]
            self.maps[k].rows, self.maps[k].columns = rows, columns
            self.net.widest = max(self.net.widest, rows, columns)
            if matrix is not None:
                dense = matrix
                self.kept.append(dense)
                self.maps[k].stride = dense.shape[1]
                self.maps[k].dense = &dense[0, 0]
            else:
                # One element more than needed keeps the addresses valid where the matrix is all zero.
                whole = triple[0]; self.kept.append(whole); self.maps[k].start = &whole[0]
                whole = np.append(triple[1], np.int32(0)); self.kept.append(whole); self.maps[k].column = &whole[0]
                vector = np.append(triple[2], 0.0); self.kept.append(vector); self.maps[k].value = &vector[0]
            vector = bias; self.kept.append(vector); self.maps[k].bias = &vector[0]
            vector = charge; self.kept.append(vector); self.maps[k].charge = &vector[0]
            if k < depth:
                vector = negative; self.kept.append(vector); self.maps[k].negative = &vector[0]
                vector = positive; self.kept.append(vector); self.maps[k].positive = &vector[0]
                if curve is not None:
                    whole = curve; self.kept.append(whole); self.maps[k].curve = &whole[0]
                self.first[k] = self.net.neurons
                self.net.neurons += rows
        self.net.maps = self.maps
        self.net.first = self.first
        self.net.input_charge = &input_charge[0]
        self.net.offset_charge = offset_charge
        self.net.underflow = underflow

    def __dealloc__(self):
        free(self.maps)
        free(self.first)
        free(self.curves)


cdef class Space:
    """Scratch memory of one thread for one network, one conjunction and one set of settings."""

    cdef Net owner
    cdef slir_clause clause
    cdef const slir_kernel *kernel
    cdef slir_space *space
    cdef slir_layout layout
    cdef list kept

    def __cinit__(self, Net net, const double[:, ::1] coefficients, const double[:, ::1] inputs,
                  const double[::1] constants, const double[::1] cost, const uint8_t[::1] strict, const double[::1] least_width,
                  int ascent_steps, double first_step, double decay, double curve_step, double curve_decay,
                  double patience, bint split_inputs, bint split_activations,
                  bint warm_start, bint interval_step, bint use_half_space, bint report_tight, double tight_tolerance,
                  bint hand_crafted, double least_interval, double margin, bint log, int index_bytes,
                  const uint32_t[::1] atoms, const double[::1] scales, str variant=""):
        cdef slir_settings settings
        cdef slir_log first
        self.owner = net
        self.kept = [coefficients, inputs, constants, cost, strict, least_width, atoms, scales]
        if atoms.shape[0] != coefficients.shape[0] or scales.shape[0] != coefficients.shape[0]:
            raise ValueError("atoms or scales have the wrong size")
        if least_width.shape[0] != net.net.inputs:
            raise ValueError("least_width has the wrong size")
        self.clause.least_width = &least_width[0]
        self.clause.rows, self.clause.outputs = coefficients.shape[0], coefficients.shape[1]
        self.clause.coefficients, self.clause.inputs = &coefficients[0, 0], &inputs[0, 0]
        self.clause.constants, self.clause.cost, self.clause.strict = &constants[0], &cost[0], &strict[0]
        settings.ascent_steps, settings.first_step, settings.decay = ascent_steps, first_step, decay
        settings.curve_step, settings.curve_decay, settings.patience = curve_step, curve_decay, patience
        settings.split_inputs, settings.split_activations = split_inputs, split_activations
        settings.warm_start, settings.interval_step = warm_start, interval_step
        settings.use_half_space, settings.report_tight = use_half_space, report_tight
        settings.tight_tolerance, settings.hand_crafted = tight_tolerance, hand_crafted
        settings.least_interval, settings.margin = least_interval, margin
        first.on, first.index_bytes, first.failed = log, index_bytes, 0
        first.bytes, first.size, first.capacity, first.next_node = NULL, 0, 0, 1
        first.atoms, first.scales = &atoms[0], &scales[0]
        self.kernel = _kernel(variant)
        self.layout = slir_layout_of(&net.net, &self.clause)
        self.space = self.kernel.open(&net.net, &self.clause, &settings, &first if log else NULL)
        if self.space == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.space != NULL:
            self.kernel.close(self.space)

    @property
    def record_layout(self):
        """Offsets of the parts of a region's record, by name."""
        return self.layout

    @property
    def variant(self):
        """Name of the instruction set in use."""
        return self.kernel.name.decode()

    @property
    def next_node(self):
        """Number of the next region that a split makes."""
        return self.kernel.log(self.space).next_node

    @next_node.setter
    def next_node(self, uint64_t number):
        self.kernel.log(self.space).next_node = number

    def take_log(self):
        """Entries since the last call."""
        cdef slir_log *log = self.kernel.log(self.space)
        taken = <bytes>(<char *>log.bytes)[:log.size] if log.size else b""
        log.size = 0
        return taken

    def analyse(self, double[::1] record, int8_t[::1] sides, bint claim, double deadline, const int[::1] cancel):
        """Bound one region in place: ``(end, value, row, minimiser, slopes, weights)``."""
        cdef double value = 0.0
        cdef double[::1] row = np.zeros(self.owner.net.inputs + 1)
        cdef double[::1] point = np.zeros(self.owner.net.inputs)
        cdef double[::1] slopes = np.zeros(2 * self.owner.net.neurons + 1)
        cdef double[::1] weights = np.zeros(self.clause.rows)
        cdef int end
        cdef int8_t *side = &sides[0] if sides.shape[0] else NULL
        if record.shape[0] != self.layout.size or sides.shape[0] < self.owner.net.neurons:
            raise ValueError("the region's record has the wrong size")
        with nogil:
            end = self.kernel.analyse(self.space, &record[0], side, claim, deadline, &cancel[0], &value, &row[0], &point[0],
                                      &slopes[0], &weights[0])
        if self.kernel.log(self.space).failed:
            raise MemoryError
        return (end, value, np.asarray(row), np.asarray(point), np.asarray(slopes), np.asarray(weights))

    def sharpen(self, double[::1] record, const int8_t[::1] sides, int most, int steps, double deadline,
                const int[::1] cancel):
        """Tighten the bounds of a region's dearest neurons in place; how it ended."""
        cdef int end
        cdef const int8_t *side = &sides[0] if sides.shape[0] else NULL
        if record.shape[0] != self.layout.size or sides.shape[0] < self.owner.net.neurons:
            raise ValueError("the region's record has the wrong size")
        with nogil:
            end = self.kernel.sharpen(self.space, &record[0], side, most, steps, deadline, &cancel[0])
        if end < 0 or self.kernel.log(self.space).failed:
            raise MemoryError
        return end

    def evaluate(self, const double[::1] x):
        """Outputs at a point in plain float64."""
        cdef double[::1] outputs = np.zeros(self.clause.outputs)
        if x.shape[0] != self.owner.net.inputs:
            raise ValueError("the point has the wrong size")
        with nogil:
            self.kernel.evaluate(self.space, &x[0], &outputs[0])
        return np.asarray(outputs)

    def descend(self, const double[::1] root, double[::1] x, double radius, int steps, double deadline,
                const int[::1] cancel):
        """Look for a witness around ``x``, which is moved: ``(whether x meets the rows, margin)``."""
        cdef double margin = 0.0
        cdef int found
        if root.shape[0] != self.layout.size or x.shape[0] != self.owner.net.inputs:
            raise ValueError("the region's record or the point has the wrong size")
        with nogil:
            found = self.kernel.descend(self.space, &root[0], &x[0], radius, steps, deadline, &cancel[0],
                                        &margin)
        return bool(found), margin

    def explore(self, const double[:, ::1] records, const int8_t[:, ::1] sides, int64_t budget, double deadline,
                const int[::1] cancel):
        """Depth-first search from some open regions.

        Returns ``(open records, open sides, leaf records, leaf sides, candidate or None, counts)``.
        """
        cdef slir_stack open_stack, leaves
        cdef slir_counts counts
        cdef int found
        cdef int64_t count = records.shape[0], size = self.layout.size, neurons = self.owner.net.neurons
        cdef double[::1] candidate = np.zeros(self.owner.net.inputs)
        if records.shape[1] != size or sides.shape[0] != count or sides.shape[1] != neurons:
            raise ValueError("the regions' records have the wrong size")
        open_stack.count, open_stack.capacity = count, count + 64
        open_stack.records = <double *>malloc(open_stack.capacity * size * sizeof(double))
        open_stack.sides = <int8_t *>malloc(open_stack.capacity * neurons + 1)
        leaves.records, leaves.sides, leaves.count, leaves.capacity = NULL, NULL, 0, 0
        for i in range(sizeof(counts)):
            (<char *>&counts)[i] = 0
        try:
            if open_stack.records == NULL or open_stack.sides == NULL:
                raise MemoryError
            if count:
                memcpy(open_stack.records, &records[0, 0], count * size * sizeof(double))
                if neurons:
                    memcpy(open_stack.sides, &sides[0, 0], count * neurons)
            with nogil:
                found = self.kernel.explore(self.space, &open_stack, &leaves, budget, deadline, &cancel[0],
                                            &candidate[0], &counts)
            if found < 0:
                raise MemoryError
            return (
                *_taken(&open_stack, size, neurons),
                *_taken(&leaves, size, neurons),
                np.asarray(candidate) if found else None,
                counts,
            )
        finally:
            free(open_stack.records)
            free(open_stack.sides)
            free(leaves.records)
            free(leaves.sides)


cdef tuple _taken(slir_stack *stack, int64_t size, int64_t neurons):
    cdef double[:, ::1] records = np.empty((stack.count, size))
    cdef int8_t[:, ::1] sides = np.empty((stack.count, neurons), dtype=np.int8)
    if stack.count:
        memcpy(&records[0, 0], stack.records, stack.count * size * sizeof(double))
        if neurons:
            memcpy(&sides[0, 0], stack.sides, stack.count * neurons)
    return np.asarray(records), np.asarray(sides)
