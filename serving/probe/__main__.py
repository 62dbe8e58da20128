"""Check an export in a clean process: `python -m serving.probe MODEL`.

The last line of the output is a JSON object with `reason`, empty if the model works.
"""

import json
import sys

from serving.probe import in_process, tf_serving


def main() -> None:
    """Check the model in this process, then in TF Serving where it is installed."""
    model = sys.argv[1]
    print(json.dumps({"reason": in_process.check(model) or tf_serving.check(model)}))


if __name__ == "__main__":
    main()
