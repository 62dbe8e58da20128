"""The plot is made from the scalars that training wrote for TensorBoard."""

import math
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline import learning_curve
from pipeline.learning_curve import Curves

pytestmark = pytest.mark.integration


def write(directory: Path, tag: str, points: list[tuple[int, float]]) -> None:
    with tf.summary.create_file_writer(str(directory)).as_default():
        for step, value in points:
            tf.summary.scalar(tag, value, step)


def test_scalars_of_all_files_are_read_and_a_repeated_step_appears_once(tmp_path: Path) -> None:
    write(tmp_path / "a", learning_curve.TRAIN, [(1, 4.0), (20, 3.0), (40, 2.5)])
    write(tmp_path / "a", learning_curve.EVALUATION, [(40, 2.75)])
    write(tmp_path / "b", learning_curve.TRAIN, [(40, 2.25), (60, 2.0)])
    curves = learning_curve.read(str(tmp_path))
    assert curves == Curves([(1, 4.0), (20, 3.0), (40, 2.25), (60, 2.0)], [(40, 2.75)])


def test_truncated_file_is_read_up_to_its_end(tmp_path: Path) -> None:
    write(tmp_path, learning_curve.TRAIN, [(1, 4.0), (20, 3.0)])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    assert learning_curve.read(str(tmp_path)) == Curves([(1, 4.0)], [])


def test_without_event_files_there_are_no_curves(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("no events")
    assert learning_curve.read(str(tmp_path)) is None


@pytest.mark.parametrize("threshold", [7.76, math.inf])
def test_plot_is_a_png_file_with_the_eval_loss(threshold: float, tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "reports" / "curve.png"
    curves = Curves([(1, 4.0), (20, 3.0)], [(20, 2.75)])
    learning_curve.plot(curves, str(path), "a play for $x^{$", threshold)
    pixels = imread(str(path))
    assert pixels.shape[:2] == (540, 960)
    reddish = (pixels[..., 0] > 0.7) & (pixels[..., 1] < 0.4)
    assert reddish.sum() > 20  # the eval loss
    assert [file.name for file in path.parent.iterdir()] == ["curve.png"]
