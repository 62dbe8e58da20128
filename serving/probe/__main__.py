"""Check an exported model in a clean process: `python -m serving.probe MODEL`.

The last line of the output is a JSON object with `reason`, empty if the model works. The exit code is 1 if it does not.
"""

import argparse
import json
import sys


def main(argv: list[str] | None = None) -> int:
    """Check the model in this process, then in TF Serving where it is installed."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.probe",
        allow_abbrev=False,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="directory of a SavedModel")
    model = parser.parse_args(argv).model
    # Imported late: TensorFlow takes seconds, and --help does not need it.
    from serving.probe import in_process, tf_serving

    reason = in_process.check(model) or tf_serving.check(model)
    print(json.dumps({"reason": reason}))
    return int(bool(reason))


if __name__ == "__main__":
    sys.exit(main())
