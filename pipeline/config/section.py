"""Base class of all configuration sections."""

import os

# Otherwise pydantic reads the entry points of every installed package when the first class is made, a sixth of the time
# that `--help` takes. Nothing here is a plugin.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pydantic import BaseModel, ConfigDict  # noqa: E402


class Section(BaseModel):
    """Frozen values of exactly their types: an unknown key, another type or infinity is an error.

    >>> class Sizes(Section):
    ...     units: int = 3
    >>> Sizes(units=4)
    Sizes(units=4)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
