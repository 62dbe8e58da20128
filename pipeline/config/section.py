"""What all sections of the configuration have in common."""

import os

# Otherwise pydantic reads the entry points of every installed package at the first class: a sixth of what `--help`
# takes. Nothing here is a plugin.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pydantic import BaseModel, ConfigDict  # noqa: E402


class Section(BaseModel):
    """Frozen values, each of exactly its type: an unknown key, another type and infinity are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
