import random

from scripts.traffic import signatures
from scripts.traffic.signatures import Input

METADATA = {
    "model_spec": {"name": "char_rnn", "version": "3"},
    "metadata": {
        "signature_def": {
            "signature_def": {
                "generate_from_state": {
                    "inputs": {
                        "prompt": {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}},
                        "num_chars": {"dtype": "DT_INT32", "tensor_shape": {"dim": [{"size": "-1"}]}},
                        "temperature": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}},
                        "seed": {"dtype": "DT_INT64", "tensor_shape": {"dim": [{"size": "-1"}]}},
                        "state": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "4"}]}},
                    }
                },
                "__saved_model_init_op": {"inputs": {}},
            }
        }
    },
}


def test_signatures_with_inputs_are_read_from_metadata() -> None:
    known = signatures.of(METADATA)
    assert list(known) == ["generate_from_state"]
    assert known["generate_from_state"]["state"] == Input("DT_FLOAT", 4)
    assert known["generate_from_state"]["prompt"] == Input("DT_STRING", None)


def test_rows_have_a_valid_value_for_each_input_and_repeat_with_the_seed() -> None:
    inputs = signatures.of(METADATA)["generate_from_state"]
    rows = [signatures.row(random.Random(seed), inputs) for seed in range(100)]
    assert rows == [signatures.row(random.Random(seed), inputs) for seed in range(100)]
    for row in rows:
        assert row.keys() == inputs.keys()
        assert row["state"] == [0.0] * 4
        assert len(row["prompt"]) <= 12
        assert 1 <= row["num_chars"] <= 12
        assert 0 < row["temperature"] <= 1
        assert -(2**63) <= row["seed"] < 2**63
