"""Matrices in either of two storages, dense arrays and compressed sparse rows, behind one set of helpers.

While a graph is being lowered a matrix is dense as long as it is small, so that small networks never need SciPy
(whose import takes longer than verifying one).  The finished maps are stored by how many of their entries are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError
from slir_milp.network.affine import Matrix, Vector, is_sparse

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DENSE_WORK_SIZE = 2**20
"""Largest number of entries that a matrix may have to be held dense during lowering."""

DENSE_STORE_SIZE = 64 * 64
"""Up to this number of entries a finished matrix is dense whatever its zeros."""

SPARSE_ZERO_SHARE = 0.25
"""A larger finished matrix is sparse if at least this share of its entries is zero."""

MAX_ENTRIES = 2**26
"""Largest number of non-zeros a matrix may have: half a gigabyte of coefficients."""

Index = NDArray[np.intp]


def to_csr(matrix: Matrix) -> csr_array:
    """Return the matrix as compressed sparse rows."""
    from scipy.sparse import csr_array

    return csr_array(matrix)


def to_dense(matrix: Matrix) -> NDArray[np.float64]:
    """Return the matrix as an array."""
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def from_entries(shape: tuple[int, int], rows: Index, columns: Index, values: Vector) -> Matrix:
    """Matrix with the given entries, each position named at most once."""
    if values.size > MAX_ENTRIES:
        raise NetworkError(
            f"one of its matrices would have {values.size} non-zero entries, more than the {MAX_ENTRIES} supported"
        )
    if shape[0] * shape[1] <= DENSE_WORK_SIZE:
        dense = np.zeros(shape)
        dense[rows, columns] = values
        return dense
    from scipy.sparse import csr_array

    return csr_array((values, (rows, columns)), shape=shape)


def selection(indices: Index, columns: int) -> Matrix:
    """Matrix whose i-th row picks column ``indices[i]``, or nothing where that is negative."""
    rows = np.flatnonzero(indices >= 0)
    return from_entries((indices.size, columns), rows, indices[rows], np.ones(rows.size))


def values_of(matrix: Matrix) -> NDArray[np.float64]:
    """Stored values: all entries of an array, the non-zeros of a sparse matrix."""
    return matrix if isinstance(matrix, np.ndarray) else matrix.data


def with_values(matrix: Matrix, values: NDArray[np.float64]) -> Matrix:
    """Matrix of the same structure with other stored values."""
    if isinstance(matrix, np.ndarray):
        return values
    from scipy.sparse import csr_array

    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def along_rows(matrix: Matrix, factors: Vector) -> NDArray[np.float64]:
    """One factor per row, laid out to go with :func:`values_of`."""
    if isinstance(matrix, np.ndarray):
        return factors[:, None]
    return np.repeat(factors, np.diff(matrix.indptr))


def magnitude(matrix: Matrix) -> Matrix:
    """Entrywise absolute value."""
    return with_values(matrix, np.abs(values_of(matrix)))


def pattern(matrix: Matrix) -> Matrix:
    """One where an entry is not zero, zero elsewhere."""
    return with_values(matrix, (values_of(matrix) != 0).astype(np.float64))


def multiply(left: Matrix, right: Matrix) -> Matrix:
    """Matrix product in float64, dense where the result is small."""
    if left.shape[0] * right.shape[1] <= DENSE_WORK_SIZE:
        return to_dense(left @ right)
    return to_csr(left) @ to_csr(right)


def entries(matrix: Matrix) -> tuple[Index, Index, Vector]:
    """Rows, columns and values of the non-zero entries."""
    if isinstance(matrix, np.ndarray):
        rows, columns = np.nonzero(matrix)
        return rows, columns, matrix[rows, columns]
    found = matrix.tocoo()
    kept = found.data != 0
    return found.row[kept].astype(np.intp), found.col[kept].astype(np.intp), found.data[kept]


def at(matrix: Matrix, rows: Index, columns: Index) -> Vector:
    """Entries at the given positions."""
    if isinstance(matrix, np.ndarray):
        return np.asarray(matrix[rows, columns], dtype=np.float64)
    found = matrix[rows, columns]
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found, dtype=np.float64).ravel()


def plus(left: Matrix, right: Matrix) -> Matrix:
    """Entrywise sum in float64."""
    if is_sparse(left) != is_sparse(right):
        left, right = to_csr(left), to_csr(right)
    return left + right


def widen(matrix: Matrix, columns: int) -> Matrix:
    """Append columns of zeros up to the given number."""
    missing = columns - matrix.shape[1]
    if missing == 0:
        return matrix
    if isinstance(matrix, np.ndarray):
        if matrix.shape[0] * columns <= DENSE_WORK_SIZE:
            return np.pad(matrix, ((0, 0), (0, missing)))
        matrix = to_csr(matrix)
    from scipy.sparse import csr_array

    return csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], columns))


def take_rows(matrix: Matrix, rows: Index) -> Matrix:
    """Chosen rows, each as often as it is named."""
    if is_sparse(matrix) or rows.size * matrix.shape[1] <= DENSE_WORK_SIZE:
        return matrix[rows]
    return to_csr(matrix)[rows]


def take_columns(matrix: Matrix, chosen: Index, columns: int) -> Matrix:
    """Chosen columns, each at most once; the matrix counts as widened to ``columns`` first."""
    position = np.full(columns, -1)
    position[chosen] = np.arange(chosen.size)
    if isinstance(matrix, np.ndarray):
        inside = np.flatnonzero(chosen < matrix.shape[1])
        taken = np.zeros((matrix.shape[0], chosen.size))
        taken[:, inside] = matrix[:, chosen[inside]]
        return taken
    rows, found, values = entries(matrix)
    kept = position[found] >= 0
    return from_entries((matrix.shape[0], chosen.size), rows[kept], position[found[kept]], values[kept])


def stack_rows(parts: Sequence[Matrix]) -> Matrix:
    """Matrices of equal width on top of each other."""
    if len(parts) == 1:
        return parts[0]
    rows = sum(part.shape[0] for part in parts)
    if rows * parts[0].shape[1] <= DENSE_WORK_SIZE:
        return np.vstack([to_dense(part) for part in parts])
    from scipy.sparse import vstack

    return vstack([to_csr(part) for part in parts], format="csr")


def prefers_dense(matrix: Matrix) -> bool:
    """Whether a finished matrix is better stored dense."""
    size = int(matrix.shape[0]) * int(matrix.shape[1])
    nonzeros = int(np.count_nonzero(values_of(matrix)))
    return size <= DENSE_STORE_SIZE or nonzeros > (1 - SPARSE_ZERO_SHARE) * size


def finished(matrix: Matrix, *, dense: bool) -> Matrix:
    """Matrix in the storage the rest of the program relies on: see :class:`slir_milp.network.affine.Affine`."""
    if dense:
        return np.ascontiguousarray(to_dense(matrix))
    sparse: Any = to_csr(matrix)
    if sparse is matrix:
        sparse = sparse.copy()
    sparse.sum_duplicates()
    sparse.eliminate_zeros()
    sparse.sort_indices()
    return csr_from_parts(sparse.data, sparse.indices, sparse.indptr, sparse.shape)


def csr_from_parts(
    data: Vector, indices: NDArray[np.integer[Any]], indptr: NDArray[np.integer[Any]], shape: tuple[int, int]
) -> csr_array:
    """Sparse matrix with 32-bit index arrays."""
    from scipy.sparse import csr_array

    narrow = (indices.astype(np.int32, copy=False), indptr.astype(np.int32, copy=False))
    return csr_array((data, *narrow), shape=shape)
