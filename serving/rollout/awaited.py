"""Versions that are served before their label moves, because servers have to load them first.

TF Serving checks labels before policies, and rejects the file while a label points to a version that is not loaded; it
would then never load that version. So a withdrawn version is first served without the label. Several commands may await
the same version. Each leaves its id in the entry, so that a command that gives up withdraws what only it has awaited:
not a version that another command awaits, has labeled, or has withdrawn meanwhile.

Pure functions, as in `serving.rollout.labels`.
"""

from collections.abc import Sequence
from dataclasses import replace

from serving.rollout.labels import allowed
from serving.tf_serving.model_config import Latest, ServedModel, Specific


def moved(before: ServedModel, after: ServedModel) -> set[int]:
    """Return the versions that get a label which they did not have."""
    return {version for label, version in after.labels.items() if before.labels.get(label) != version}


def settled(model: ServedModel, versions: Sequence[int], command: str) -> set[int]:
    """Return the versions that are served, except those that only other commands await."""
    others = {version for version, ids in model.awaited.items() if command not in ids}
    return set(allowed(model.policy, versions)) - others


def served(before: ServedModel, missing: set[int], versions: Sequence[int], command: str) -> ServedModel:
    """Serve the missing versions as well, which this command awaits; labels stay."""
    if isinstance(before.policy, Latest):  # still serves what is pushed
        return replace(before, policy=Latest(sum(version >= min(missing) for version in versions)))
    awaited = before.awaited | {version: (*before.awaited.get(version, ()), command) for version in missing}
    listed = {*allowed(before.policy, versions), *missing}
    return replace(before, policy=Specific(tuple(sorted(listed))), awaited=awaited)


def done(model: ServedModel, command: str) -> ServedModel:
    """Return the entry without the id of this command."""
    awaited = {version: tuple(one for one in ids if one != command) for version, ids in model.awaited.items()}
    return replace(model, awaited=awaited)


def given_up(model: ServedModel, command: str, latest: tuple[Latest, Latest] | None = None) -> ServedModel:
    """Withdraw the versions that only this command awaits.

    Args:
      latest: a policy that it replaced, and the one that it wrote.
    """
    if latest is not None and model.policy == latest[1]:
        return replace(model, policy=latest[0])
    after = done(model, command)
    if not isinstance(model.policy, Specific):
        return after
    left = tuple(v for v in model.policy.versions if v in after.awaited or v not in model.awaited)
    return replace(after, policy=Specific(left)) if left else after
