"""The effect of promote, rollback and prune on a model's entry: which versions are served, under which labels.

Pure functions from the versions on disk and the present entry in `models.config` to the new entry. A push moves no
label; `first_entry` sets those of a new model, and `repaired` moves those of deleted versions. Versions are the numbers
of the complete versions, at least one, in ascending order. `serving.rollout.apply` writes the entry.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from components.errors import UserError
from serving.tf_serving.model_config import All, Policy, ServedModel, Specific

STABLE = "stable"
CANARY = "canary"
LABELS = (STABLE, CANARY)


def allowed(policy: Policy, versions: Sequence[int]) -> list[int]:
    """Return the versions that a policy serves, in ascending order."""
    if isinstance(policy, All):
        return list(versions)
    if isinstance(policy, Specific):
        return [version for version in versions if version in policy.versions]
    return list(versions[-policy.count :])


def default_version(model: ServedModel, versions: Sequence[int]) -> int | None:
    """Return the version that responds to requests without a version or label: the newest that is served."""
    return max(allowed(model.policy, versions), default=None)


def first_entry(name: str, base_path: str, versions: Sequence[int]) -> ServedModel:
    """Make the first entry of a model: all versions are served, both labels are on the newest."""
    return ServedModel(name, base_path, All(), dict.fromkeys(LABELS, versions[-1]))


def repaired(model: ServedModel, versions: Sequence[int]) -> ServedModel:
    """Remove deleted versions from an entry; their labels move to the newest served one below, else to the oldest."""
    policy = model.policy
    if isinstance(policy, Specific):
        left = tuple(allowed(policy, versions))
        policy = Specific(left) if left else All()
    served = allowed(policy, versions)
    labels = {
        label: version
        if version in versions
        else max((below for below in served if below < version), default=served[0])
        for label, version in model.labels.items()
    }
    return replace(model, policy=policy, labels=labels)


def promote(
    model: ServedModel, versions: Sequence[int], version: int | None = None, label: str = STABLE
) -> ServedModel:
    """Move a label to a version (None: the newest), and serve that version if it was withdrawn.

    When `stable` moves up past `canary`, `canary` moves with it. Promoting the newest version ends a rollback:
    new versions are then served as soon as they are pushed.

    Raises:
      UserError: the version is missing or incomplete.
    """
    model = repaired(model, versions)
    version = versions[-1] if version is None else _existing(version, versions)
    labels = {**model.labels, label: version}
    if label == STABLE:
        labels[CANARY] = max(version, labels.get(CANARY, version))
    policy: Policy = All()  # not Latest, which drops a labeled version when others are pushed
    if isinstance(model.policy, Specific) and version != versions[-1]:
        policy = Specific(tuple(sorted({*model.policy.versions, version})))
    return replace(model, policy=policy, labels=labels)


def rollback(model: ServedModel, versions: Sequence[int], to: int | None = None) -> ServedModel:
    """Move `stable` back (None: to the version before it) and withdraw all versions above. Labels above it move to it.

    Deletes nothing. Versions that are pushed later are not served until one is promoted.

    Raises:
      UserError: there is no version before, or the given one is missing, incomplete or above `stable`.
    """
    model = repaired(model, versions)
    stable = model.labels.get(STABLE, default_version(model, versions))
    assert stable is not None  # there is at least one version, and repaired policies serve one
    if to is None:
        below = [version for version in versions if version < stable]
        if not below:
            raise UserError(
                f"There is no version to roll back to: {stable} is `{STABLE}` and the oldest complete one. Train a "
                f"new model, or give the version to keep with --to. Received: complete versions {listed(versions)}"
            )
        to = below[-1]
    elif _existing(to, versions) > stable:
        raise UserError(
            f"A rollback moves down: version {to} is above {stable}, which is `{STABLE}`. To move up, use promote. "
            f"Received: --to {to}"
        )
    policy = Specific(tuple(sorted({to, *(v for v in allowed(model.policy, versions) if v <= to)})))
    labels = {label: min(version, to) for label, version in model.labels.items()} | {STABLE: to}
    return replace(model, policy=policy, labels=labels)


def prune(model: ServedModel, versions: Sequence[int], keep: int) -> tuple[ServedModel, list[int]]:
    """Choose the versions to delete so that the `keep` newest ones remain.

    Never deleted: a version with a label, the one that responds without a label, and any above `stable`.

    Returns:
      The entry, whose policy no longer lists the deleted versions, and the versions to delete.
    """
    model = repaired(model, versions)
    default = default_version(model, versions)
    stable = model.labels.get(STABLE, default)
    used = {default, *model.labels.values()}
    deleted = [v for v in versions[: -max(1, keep)] if v not in used and (stable is None or v < stable)]
    policy = model.policy
    if isinstance(policy, Specific):
        policy = Specific(tuple(v for v in policy.versions if v not in deleted))
    return replace(model, policy=policy), deleted


def _existing(version: int, versions: Sequence[int]) -> int:
    if version not in versions:
        raise UserError(
            f"Version not found or incomplete. Give one of: {listed(versions)}. Received: version {version}"
        )
    return version


def listed(versions: Iterable[int]) -> str:
    """Join version numbers with commas for a message."""
    return ", ".join(map(str, versions))
