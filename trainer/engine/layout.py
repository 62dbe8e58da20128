"""Which way round the matrices of a step lie inside the recurrent operation: batch by units, or units by batch."""

from dataclasses import dataclass

import tensorflow as tf

_ROW = 64  # bytes in a cache line: rows of that, or of a multiple, can be told apart without a copy


@dataclass(frozen=True)
class Layout:
    """One of the two.

    With the batch last a unit is a row. Gates are rows of a product then, which are told apart without a copy; and the
    kernel is a product's left factor, which oneDNN multiplies as it lies, where one on the right is rearranged in every
    step. In bfloat16 that makes a large layer's training a tenth faster. In float32, or with rows that do not fill
    cache lines, the products themselves are slower that way round, by more than is won.

    Attributes:
      batch_last: units by batch.
    """

    batch_last: bool

    @classmethod
    def fastest(cls, batch: int, dtype: tf.DType) -> "Layout":
        """For a batch of that many passages, and products in `dtype`."""
        return cls(dtype == tf.bfloat16 and batch * dtype.size % _ROW == 0)

    @property
    def units(self) -> int:
        """The axis of a step's matrix that counts units."""
        return 0 if self.batch_last else 1

    def turned(self, x: tf.Tensor) -> tf.Tensor:
        """A matrix or matrices (..., batch, n) in this layout; or from this layout so."""
        return tf.linalg.matrix_transpose(x) if self.batch_last else x

    def for_each_row(self, x: tf.Tensor, batch: int) -> tf.Tensor:
        """A bias (..., n), so that it may be added: repeated if n counts rows, which is faster than to spread it."""
        return tf.repeat(x[..., None], batch, -1) if self.batch_last else x

    def product(self, x: tf.Tensor, kernel: tf.Tensor, transposed: tf.Tensor) -> tf.Tensor:
        """Of (batch, n) in this layout, or several, with a kernel (n, m) that is given both ways round."""
        return tf.matmul(transposed, x) if self.batch_last else tf.matmul(x, kernel)

    def join_steps(self, x: tf.Tensor) -> tf.Tensor:
        """Of matrices (time, batch, n), the last two in this layout, one (time * batch, n) in this layout."""
        if self.batch_last:
            return tf.concat(tf.unstack(x), 1)  # half the time of a transposition
        return tf.reshape(x, (-1, x.shape[2]))

    def split_steps(self, x: tf.Tensor, steps: int) -> tf.Tensor:
        """The opposite."""
        if self.batch_last:
            return tf.transpose(tf.reshape(x, (x.shape[0], steps, -1)), (1, 0, 2))
        return tf.reshape(x, (steps, -1, x.shape[1]))

    def kernel_gradient(self, x: tf.Tensor, pieces: list[tf.Tensor]) -> tf.Tensor:
        """That of a kernel which multiplied all steps' `x` (time * batch, n), from those of its products.

        Args:
          x: in this layout, like the pieces.
          pieces: (time * batch, some of m) each.

        Returns:
          float32 (n, m).
        """
        first, second = not self.batch_last, self.batch_last
        products = [tf.matmul(x, piece, transpose_a=first, transpose_b=second) for piece in pieces]
        return tf.concat([tf.cast(product, tf.float32) for product in products], 1)

    def sums(self, pieces: list[tf.Tensor]) -> tf.Tensor:
        """Sums over time and batch, float32 (m,): as a product in the pieces' type, which needs no copy in float32."""
        ones = tf.ones((1, pieces[0].shape[1 - self.units]), pieces[0].dtype)
        return self.kernel_gradient(ones if self.batch_last else tf.transpose(ones), pieces)[0]
