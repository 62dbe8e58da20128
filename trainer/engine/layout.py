"""Memory layout of the per-step matrices: (batch, units) or (units, batch)."""

from dataclasses import dataclass

import tensorflow as tf

_CACHE_LINE = 64  # bytes; rows of a multiple of it are sliced without a copy


@dataclass(frozen=True)
class Layout:
    """Memory layout, and the operations whose form depends on it.

    With the batch last a unit is a row. Gates are then rows of a product, which are sliced without a copy; and the
    kernel is the left factor of the product, which oneDNN multiplies in place, whereas it repacks a right factor in
    every step. In bfloat16 that makes training of a large layer a tenth faster. In float32, or with rows that do not
    fill cache lines, the products themselves become slower by more than that.

    Attributes:
      batch_last: (units, batch) instead of (batch, units).
    """

    batch_last: bool

    @classmethod
    def fastest(cls, batch: int, dtype: tf.DType) -> "Layout":
        """Choose the layout for a batch size and the type of the matrix products."""
        return cls(dtype == tf.bfloat16 and batch * dtype.size % _CACHE_LINE == 0)

    @property
    def units_axis(self) -> int:
        """Axis of the units in a step's matrix."""
        return 0 if self.batch_last else 1

    @property
    def batch_axis(self) -> int:
        """Axis of the batch in a step's matrix."""
        return 1 - self.units_axis

    def to_layout(self, x: tf.Tensor) -> tf.Tensor:
        """Convert (..., batch, n) to this layout, or from this layout back."""
        return tf.linalg.matrix_transpose(x) if self.batch_last else x

    def broadcast_bias(self, bias: tf.Tensor, batch: int) -> tf.Tensor:
        """Shape a bias (..., n) so that it can be added; repeating it over the batch is faster than broadcasting."""
        return tf.repeat(bias[..., None], batch, -1) if self.batch_last else bias

    def product(self, x: tf.Tensor, kernel: tf.Tensor, transposed: tf.Tensor) -> tf.Tensor:
        """Multiply one or more matrices (batch, n) in this layout by a kernel (n, m).

        Args:
          x: the matrices.
          kernel: (n, m).
          transposed: the kernel as (m, n).
        """
        return tf.matmul(transposed, x) if self.batch_last else tf.matmul(x, kernel)

    def join_steps(self, x: tf.Tensor) -> tf.Tensor:
        """Reshape (time, batch, n) to (time * batch, n), both in this layout."""
        if self.batch_last:
            return tf.concat(tf.unstack(x), 1)  # half the time of a transposition
        return tf.reshape(x, (-1, x.shape[2]))

    def split_steps(self, x: tf.Tensor, steps: int) -> tf.Tensor:
        """Reshape (time * batch, n) to (time, batch, n), both in this layout."""
        if self.batch_last:
            return tf.transpose(tf.reshape(x, (x.shape[0], steps, -1)), (1, 0, 2))
        return tf.reshape(x, (steps, -1, x.shape[1]))

    def kernel_gradient(self, x: tf.Tensor, pieces: list[tf.Tensor]) -> tf.Tensor:
        """Compute the gradient of a kernel that multiplied the inputs of all steps.

        Args:
          x: inputs (time * batch, n) in this layout.
          pieces: gradients of the products, side by side: (time * batch, part of m) each, in this layout.

        Returns:
          float32 (n, m).
        """
        first, second = not self.batch_last, self.batch_last
        products = [tf.matmul(x, piece, transpose_a=first, transpose_b=second) for piece in pieces]
        return tf.concat([tf.cast(product, tf.float32) for product in products], 1)

    def sum_over_batch(self, pieces: list[tf.Tensor]) -> tf.Tensor:
        """Sum pieces (time * batch, part of m) over time and batch to float32 (m,).

        A product with ones: it takes the pieces in their type, where a sum would first copy them to float32.
        """
        ones = tf.ones((1, pieces[0].shape[self.batch_axis]), pieces[0].dtype)
        return self.kernel_gradient(ones if self.batch_last else tf.transpose(ones), pieces)[0]
