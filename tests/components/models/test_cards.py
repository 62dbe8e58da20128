"""Model cards of local versions and of those in a bucket."""

from pathlib import Path

import pytest
import tensorflow as tf

from components.models import cards, versions

pytestmark = pytest.mark.integration


def test_card_of_a_local_version_is_read(tmp_path: Path) -> None:
    assert not cards.exists(str(tmp_path))
    assert cards.read(str(tmp_path)) is None
    (tmp_path / versions.CARD).parent.mkdir()
    (tmp_path / versions.CARD).write_text("# é", encoding="utf-8")
    assert cards.exists(str(tmp_path))
    assert cards.read(str(tmp_path)) == "# é"


def test_card_of_a_version_in_a_bucket_is_read() -> None:
    bucket = "ram://bucket/serving/1"
    assert cards.read(bucket) is None
    tf.io.gfile.makedirs(f"{bucket}/assets.extra")
    with tf.io.gfile.GFile(f"{bucket}/{versions.CARD}", "w") as file:
        file.write("# card")
    assert cards.exists(bucket)
    assert cards.read(bucket) == "# card"
