"""The reference model's cross-entropy next to an export."""

import math
from pathlib import Path

import pytest

from components.evaluate import reference

pytestmark = pytest.mark.integration


def test_nats_are_read_as_written(tmp_path: Path) -> None:
    reference.write(str(tmp_path), 1 / 3)
    assert reference.read(str(tmp_path)) == 1 / 3


def test_export_without_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(tmp_path)):
        reference.read(str(tmp_path))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"trigram_nats": null}', '{"trigram_nats": NaN}'])
def test_file_without_a_finite_figure_is_an_error(tmp_path: Path, content: str) -> None:
    reference.write(str(tmp_path), 1.0)
    (tmp_path / reference.PLACE).write_text(content)
    with pytest.raises(ValueError, match="finite trigram_nats"):
        reference.read(str(tmp_path))


def test_model_as_good_as_the_reference_model_is_above_the_bound() -> None:
    assert math.exp(2.0) * (1 - 1e-8) < reference.upper_bound(2.0) < math.exp(2.0)
