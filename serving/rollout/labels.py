"""Which versions are served and under which labels: what promoting, rolling back and pruning mean.

Pure functions from what is on disk and what `models.config` says to what it shall say. Versions are the numbers of
whole SavedModels, in ascending order.
"""

from collections.abc import Sequence
from dataclasses import replace

from components import shell_command
from components.errors import UserError
from serving.tf_serving.model_config import All, Policy, ServedModel, Specific

STABLE = "stable"
CANARY = "canary"
LABELS = (STABLE, CANARY)


def allowed(policy: Policy, versions: Sequence[int]) -> list[int]:
    """The versions that a policy serves, in ascending order."""
    if isinstance(policy, All):
        return list(versions)
    if isinstance(policy, Specific):
        return [version for version in versions if version in policy.versions]
    return list(versions[-policy.count :])


def reached(model: ServedModel, versions: Sequence[int]) -> int | None:
    """The version that answers requests without a version or label: the newest that is served."""
    return max(allowed(model.policy, versions), default=None)


def fresh(name: str, base_path: str, versions: Sequence[int]) -> ServedModel:
    """The first entry of a model: all its versions are served, both labels are on the newest."""
    return ServedModel(name, base_path, All(), dict.fromkeys(LABELS, _newest(versions)))


def mended(model: ServedModel, versions: Sequence[int]) -> ServedModel:
    """The same without versions that are gone: their labels go to the newest served one below, else to the oldest."""
    _newest(versions)
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
    """Put a label on a version, None for the newest one, and serve that version if it was withdrawn.

    The canary goes first: it never stays behind a `stable` that moves up. The newest version ends a rollback: from then
    on new versions are served as they come.

    Raises:
      UserError: there is no such whole version.
    """
    model = mended(model, versions)
    version = _newest(versions) if version is None else _whole(version, versions)
    labels = {**model.labels, label: version}
    if label == STABLE:
        labels[CANARY] = max(version, labels.get(CANARY, version))
    policy = model.policy
    if isinstance(policy, Specific):
        policy = All() if version == versions[-1] else Specific(tuple(sorted({*policy.versions, version})))
    elif version not in allowed(policy, versions):
        policy = All()
    return replace(model, policy=policy, labels=labels)


def rollback(model: ServedModel, versions: Sequence[int], to: int | None = None) -> ServedModel:
    """Put `stable` back, None for the version before it, and withdraw everything above; other labels come down with it.

    Nothing is deleted. Versions that are pushed later are not served until one is promoted.

    Raises:
      UserError: there is no version before, no such whole version, or it is above `stable`.
    """
    model = mended(model, versions)
    stable = model.labels.get(STABLE, reached(model, versions))
    assert stable is not None  # there is at least one version, and mended policies serve one
    if to is None:
        below = [version for version in versions if version < stable]
        if not below:
            raise UserError(
                f"There is no version to roll back to: {stable} is `{STABLE}` and the oldest whole one. Train a new "
                f"model, or give the version to keep with --to. Received: whole versions {_listed(versions)}"
            )
        to = below[-1]
    elif _whole(to, versions) > stable:
        raise UserError(
            f"A rollback goes down: version {to} is above {stable}, which is `{STABLE}`. To go up, use promote. "
            f"Received: --to {to}"
        )
    policy = Specific(tuple(sorted({to, *(v for v in allowed(model.policy, versions) if v <= to)})))
    labels = {label: min(version, to) for label, version in model.labels.items()} | {STABLE: to}
    return replace(model, policy=policy, labels=labels)


def prune(model: ServedModel, versions: Sequence[int], keep: int) -> tuple[ServedModel, list[int]]:
    """What to delete so that the `keep` newest versions are left, and what is served then.

    Never deleted: a version with a label, the one that requests without a label reach, and any above `stable`.

    Returns:
      The entry, in which the policy no longer names what is deleted, and the versions to delete.
    """
    model = mended(model, versions)
    answering = reached(model, versions)
    stable = model.labels.get(STABLE, answering)
    used = {answering, *model.labels.values()}
    deleted = [v for v in versions[: -max(1, keep)] if v not in used and (stable is None or v < stable)]
    policy = model.policy
    if isinstance(policy, Specific):
        policy = Specific(tuple(v for v in policy.versions if v not in deleted))
    return replace(model, policy=policy), deleted


def moved(before: ServedModel, after: ServedModel) -> set[int]:
    """Versions that get a label which they had not."""
    return {version for label, version in after.labels.items() if before.labels.get(label) != version}


def step(before: ServedModel, after: ServedModel, versions: Sequence[int]) -> ServedModel:
    """What to write next on the way from one entry to another; it is `after` when nothing has to be loaded first.

    TF Serving looks at labels before it looks at policies, and refuses the whole file while a label moves to a version
    that is not loaded: then it would never load it. So such a version is first served without the label.
    """
    if moved(before, after) <= set(allowed(before.policy, versions)):
        return after
    both = (before.policy, after.policy)
    if any(isinstance(policy, All) for policy in both):
        return replace(before, policy=All())
    served = {version for policy in both for version in allowed(policy, versions)}
    return replace(before, policy=Specific(tuple(sorted(served))))


def _newest(versions: Sequence[int]) -> int:
    if not versions:
        raise UserError(
            f"No model has been pushed there yet. Train one with `{shell_command.of('local_runner.py')}`, or say "
            "where it is with --model, --root or --serving-dir. Received: a serving directory without a whole version"
        )
    return versions[-1]


def _whole(version: int, versions: Sequence[int]) -> int:
    _newest(versions)
    if version not in versions:
        raise UserError(
            f"There is no such whole version. Give one of: {_listed(versions)}. Received: version {version}"
        )
    return version


def _listed(versions: Sequence[int]) -> str:
    return ", ".join(map(str, versions))
