"""Which names TF Serving takes for versions of a model. Without TensorFlow: operators' commands and servers ask it."""

LARGEST = 2**63 - 1  # TF Serving's versions are 64 bits wide


def is_version_number(name: str) -> bool:
    """Whether the name of a directory is a version's number: ASCII digits within 64 bits; zeros may come first."""
    return name.isascii() and name.isdecimal() and int(name) <= LARGEST
