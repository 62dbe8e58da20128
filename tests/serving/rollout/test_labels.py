"""Labels always point to versions that exist and are served; a version in use is never deleted."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.errors import UserError
from serving.rollout import labels
from serving.tf_serving.model_config import All, Latest, ServedModel, Specific

VERSIONS = [1, 2, 3, 5]
FIRST = labels.first_entry("m", "/m", VERSIONS)

on_disk = st.sets(st.integers(0, 12), min_size=1, max_size=8).map(sorted)
policies = st.one_of(
    st.builds(Latest, st.integers(1, 4)),
    st.just(All()),
    st.sets(st.integers(0, 12), min_size=1, max_size=5).map(lambda versions: Specific(tuple(sorted(versions)))),
)
assignments = st.dictionaries(st.sampled_from(["stable", "canary", "mine"]), st.integers(0, 12), max_size=3)
models = st.builds(ServedModel, st.just("m"), st.just("/m"), policies, assignments)


def entry(policy: All | Latest | Specific, stable: int, canary: int) -> ServedModel:
    return ServedModel("m", "/m", policy, {"stable": stable, "canary": canary})


def test_first_entry_serves_all_with_both_labels_on_the_newest() -> None:
    assert entry(All(), 5, 5) == FIRST
    assert labels.default_version(FIRST, VERSIONS) == 5


@pytest.mark.parametrize(("policy", "served"), [(All(), [1, 2, 3]), (Latest(2), [2, 3]), (Specific((1, 3, 9)), [1, 3])])
def test_versions_of_each_policy(policy: All | Latest | Specific, served: list[int]) -> None:
    assert labels.allowed(policy, [1, 2, 3]) == served


@given(on_disk, st.integers(1, 5), st.sets(st.integers(0, 12)))
def test_policy_serves_existing_versions_in_ascending_order(versions: list[int], count: int, some: set[int]) -> None:
    assert labels.allowed(Latest(count), versions) == sorted(versions, reverse=True)[:count][::-1]
    assert labels.allowed(All(), versions) == versions
    assert labels.allowed(Specific(tuple(some)), versions) == sorted(some & set(versions))
    assert labels.allowed(Latest(count), []) == labels.allowed(Specific(tuple(some)), []) == []


def test_canary_promotion_rollback_and_return() -> None:
    versions = [1, 2]
    model = labels.first_entry("m", "/m", versions)
    versions = [1, 2, 3]  # a push
    assert labels.default_version(model, versions) == 3
    model = labels.promote(model, versions, label="canary")
    assert model == entry(All(), 2, 3)
    model = labels.promote(model, versions)
    assert model == entry(All(), 3, 3)
    model = labels.rollback(model, versions)
    assert model == entry(Specific((1, 2)), 2, 2)
    versions = [1, 2, 3, 4]  # a push after a rollback waits
    assert labels.default_version(model, versions) == 2
    assert labels.rollback(model, versions) == entry(Specific((1,)), 1, 1)
    assert labels.promote(model, versions, 3, "canary") == entry(Specific((1, 2, 3)), 2, 3)
    assert labels.promote(model, versions) == entry(All(), 4, 4)


def test_promoting_an_older_version_withdraws_nothing() -> None:
    assert labels.promote(FIRST, VERSIONS, 2) == entry(All(), 2, 5)


@pytest.mark.parametrize("version", [2, 5])
def test_promoted_version_is_served_after_later_pushes(version: int) -> None:
    """`Latest` would drop it."""
    assert labels.promote(entry(Latest(1), 5, 5), VERSIONS, version) == entry(All(), version, 5)


def test_rollback_to_stable_itself_withdraws_all_above() -> None:
    assert labels.rollback(entry(All(), 3, 5), VERSIONS, 3) == entry(Specific((1, 2, 3)), 3, 3)


@pytest.mark.parametrize("to", [4, 9, 5])
def test_rollback_moves_down_to_a_complete_version_only(to: int) -> None:
    with pytest.raises(UserError, match=f"Received: .*{to}"):
        labels.rollback(entry(All(), 3, 3), VERSIONS, to)


def test_no_rollback_below_the_oldest() -> None:
    with pytest.raises(UserError, match="no version to roll back to"):
        labels.rollback(entry(All(), 1, 5), VERSIONS)


def test_missing_version_cannot_be_promoted() -> None:
    with pytest.raises(UserError, match=r"Give one of: 1, 2, 3, 5\. Received: version 4"):
        labels.promote(FIRST, VERSIONS, 4)


def test_prune_deletes_the_oldest_unused_versions() -> None:
    assert labels.prune(FIRST, VERSIONS, 2) == (FIRST, [1, 2])
    labeled = entry(All(), 3, 1)
    assert labels.prune(labeled, VERSIONS, 1) == (labeled, [2])  # 1 is canary, 3 stable, 5 above stable
    withdrawn = entry(Specific((1, 2, 3)), 3, 3)
    assert labels.prune(withdrawn, VERSIONS, 1) == (entry(Specific((3,)), 3, 3), [1, 2])
    # A file edited by hand may have `stable` on a version that is not served.
    default = entry(Specific((1,)), 3, 3)
    assert labels.prune(default, VERSIONS, 1) == (default, [2])


@given(models, on_disk)
def test_repaired_labels_point_to_versions_that_exist(model: ServedModel, versions: list[int]) -> None:
    repaired = labels.repaired(model, versions)
    assert set(repaired.labels.values()) <= set(versions)
    assert labels.default_version(repaired, versions) in versions
    assert labels.repaired(repaired, versions) == repaired


@given(models, on_disk, st.data())
def test_promoted_version_has_the_label_and_is_served(
    model: ServedModel, versions: list[int], data: st.DataObject
) -> None:
    version, label = data.draw(st.sampled_from([None, *versions])), data.draw(st.sampled_from(labels.LABELS))
    after = labels.promote(model, versions, version, label)
    assert after.labels[label] == (version if version is not None else versions[-1])
    assert after.labels[label] in labels.allowed(after.policy, versions)
    assert set(after.labels.values()) <= set(versions)
    withdrawn = set(labels.allowed(labels.repaired(model, versions).policy, versions))
    assert withdrawn <= set(labels.allowed(after.policy, versions))  # nothing stops being served


@given(models, on_disk)
def test_after_a_rollback_every_request_uses_stable_or_below(model: ServedModel, versions: list[int]) -> None:
    stable = labels.repaired(model, versions).labels.get("stable")
    assume(stable is None or stable > versions[0])
    assume(stable is not None or labels.default_version(labels.repaired(model, versions), versions) != versions[0])
    after = labels.rollback(model, versions)
    assert after.labels["stable"] == labels.default_version(after, versions)
    assert all(version <= after.labels["stable"] for version in after.labels.values())
    assert after.labels["stable"] in versions
    assert set(after.labels.values()) <= set(versions)


@given(models, on_disk, st.integers(1, 9))
def test_prune_never_deletes_a_version_in_use(model: ServedModel, versions: list[int], keep: int) -> None:
    after, deleted = labels.prune(model, versions, keep)
    left = [version for version in versions if version not in deleted]
    repaired = labels.repaired(model, versions)
    default = labels.default_version(repaired, versions)
    assert set(deleted) <= set(versions)
    assert set(versions[-keep:]) <= set(left)
    assert after.labels == repaired.labels
    assert set(after.labels.values()) <= set(left)
    assert labels.default_version(after, left) == default
    assert all(version <= after.labels.get("stable", default) for version in deleted)
    if isinstance(after.policy, Specific):
        assert set(after.policy.versions) <= set(left)
    if labels.STABLE in repaired.labels:
        used = {*repaired.labels.values(), default}
        expected = {v for v in versions[:-keep] if v not in used and v < repaired.labels[labels.STABLE]}
        assert set(deleted) == expected
