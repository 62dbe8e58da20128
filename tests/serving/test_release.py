"""Labels always point to versions that exist and are served; what is in use is never deleted."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.errors import UserError
from serving import release
from serving.model_config import All, Latest, ServedModel, Specific

VERSIONS = [1, 2, 3, 5]
FRESH = release.fresh("m", "/m", VERSIONS)

on_disk = st.sets(st.integers(0, 12), min_size=1, max_size=8).map(sorted)
policies = st.one_of(
    st.builds(Latest, st.integers(1, 4)),
    st.just(All()),
    st.sets(st.integers(0, 12), min_size=1, max_size=5).map(lambda versions: Specific(tuple(sorted(versions)))),
)
labels = st.dictionaries(st.sampled_from(["stable", "canary", "mine"]), st.integers(0, 12), max_size=3)
models = st.builds(ServedModel, st.just("m"), st.just("/m"), policies, labels)


def entry(policy: All | Latest | Specific, stable: int, canary: int) -> ServedModel:
    return ServedModel("m", "/m", policy, {"stable": stable, "canary": canary})


def test_a_fresh_entry_serves_everything_with_both_labels_on_the_newest() -> None:
    assert entry(All(), 5, 5) == FRESH
    assert release.reached(FRESH, VERSIONS) == 5


@pytest.mark.parametrize(("policy", "served"), [(All(), [1, 2, 3]), (Latest(2), [2, 3]), (Specific((1, 3, 9)), [1, 3])])
def test_what_a_policy_serves(policy: All | Latest | Specific, served: list[int]) -> None:
    assert release.allowed(policy, [1, 2, 3]) == served


@given(on_disk, st.integers(1, 5), st.sets(st.integers(0, 12)))
def test_a_policy_serves_of_what_is_there_in_ascending_order(versions: list[int], count: int, some: set[int]) -> None:
    assert release.allowed(Latest(count), versions) == sorted(versions, reverse=True)[:count][::-1]
    assert release.allowed(All(), versions) == versions
    assert release.allowed(Specific(tuple(some)), versions) == sorted(some & set(versions))
    assert release.allowed(Latest(count), []) == release.allowed(Specific(tuple(some)), []) == []


def test_a_walk_through_canary_rollback_and_return() -> None:
    versions = [1, 2]
    model = release.fresh("m", "/m", versions)
    versions = [1, 2, 3]  # a push
    assert release.reached(model, versions) == 3
    model = release.promote(model, versions, label="canary")
    assert model == entry(All(), 2, 3)
    model = release.promote(model, versions)
    assert model == entry(All(), 3, 3)
    model = release.rollback(model, versions)
    assert model == entry(Specific((1, 2)), 2, 2)
    versions = [1, 2, 3, 4]  # a push after a rollback waits
    assert release.reached(model, versions) == 2
    assert release.rollback(model, versions) == entry(Specific((1,)), 1, 1)
    assert release.promote(model, versions, 3, "canary") == entry(Specific((1, 2, 3)), 2, 3)
    assert release.promote(model, versions) == entry(All(), 4, 4)


def test_a_promotion_to_an_older_version_withdraws_nothing() -> None:
    assert release.promote(FRESH, VERSIONS, 2) == entry(All(), 2, 5)


def test_an_older_version_than_the_latest_can_be_promoted() -> None:
    assert release.promote(entry(Latest(1), 5, 5), VERSIONS, 2) == entry(All(), 2, 5)


def test_a_rollback_to_stable_itself_withdraws_what_is_above() -> None:
    assert release.rollback(entry(All(), 3, 5), VERSIONS, 3) == entry(Specific((1, 2, 3)), 3, 3)


@pytest.mark.parametrize("to", [4, 9, 5])
def test_a_rollback_goes_down_to_a_whole_version_only(to: int) -> None:
    with pytest.raises(UserError, match=f"Received: .*{to}"):
        release.rollback(entry(All(), 3, 3), VERSIONS, to)


def test_there_is_nothing_below_the_oldest() -> None:
    with pytest.raises(UserError, match="no version to roll back to"):
        release.rollback(entry(All(), 1, 5), VERSIONS)


def test_a_version_that_is_not_there_is_not_promoted() -> None:
    with pytest.raises(UserError, match=r"Give one of: 1, 2, 3, 5\. Received: version 4"):
        release.promote(FRESH, VERSIONS, 4)


def test_pruning_takes_the_oldest_and_leaves_what_is_used() -> None:
    assert release.prune(FRESH, VERSIONS, 2) == (FRESH, [1, 2])
    labelled = entry(All(), 3, 1)
    assert release.prune(labelled, VERSIONS, 1) == (labelled, [2])  # 1 is canary, 3 stable, 5 above stable
    withdrawn = entry(Specific((1, 2, 3)), 3, 3)
    assert release.prune(withdrawn, VERSIONS, 1) == (entry(Specific((3,)), 3, 3), [1, 2])
    # A file edited by hand may have `stable` on a version that is not served.
    answering = entry(Specific((1,)), 3, 3)
    assert release.prune(answering, VERSIONS, 1) == (answering, [2])


def test_a_label_is_not_put_on_a_version_that_has_to_be_loaded_first() -> None:
    before = entry(Specific((1, 2)), 2, 2)
    after = release.promote(before, VERSIONS)
    first = release.step(before, after, VERSIONS)
    assert first == replace(before, policy=All())
    assert release.step(first, after, VERSIONS) == after
    assert release.step(FRESH, release.rollback(FRESH, VERSIONS), VERSIONS) == release.rollback(FRESH, VERSIONS)


@given(models, on_disk)
def test_mended_labels_point_to_versions_that_exist(model: ServedModel, versions: list[int]) -> None:
    mended = release.mended(model, versions)
    assert set(mended.labels.values()) <= set(versions)
    assert release.reached(mended, versions) in versions
    assert release.mended(mended, versions) == mended


@given(models, on_disk, st.data())
def test_a_promoted_version_has_the_label_and_is_served(
    model: ServedModel, versions: list[int], data: st.DataObject
) -> None:
    version, label = data.draw(st.sampled_from([None, *versions])), data.draw(st.sampled_from(release.LABELS))
    after = release.promote(model, versions, version, label)
    assert after.labels[label] == (version if version is not None else versions[-1])
    assert after.labels[label] in release.allowed(after.policy, versions)
    assert set(after.labels.values()) <= set(versions)
    withdrawn = set(release.allowed(release.mended(model, versions).policy, versions))
    assert withdrawn <= set(release.allowed(after.policy, versions))  # nothing stops being served


@given(models, on_disk)
def test_after_a_rollback_every_request_reaches_stable_or_below(model: ServedModel, versions: list[int]) -> None:
    stable = release.mended(model, versions).labels.get("stable")
    assume(stable is None or stable > versions[0])
    assume(stable is not None or release.reached(release.mended(model, versions), versions) != versions[0])
    after = release.rollback(model, versions)
    assert after.labels["stable"] == release.reached(after, versions)
    assert all(version <= after.labels["stable"] for version in after.labels.values())
    assert after.labels["stable"] in versions
    assert set(after.labels.values()) <= set(versions)


@given(models, on_disk, st.integers(1, 9))
def test_pruning_never_deletes_what_is_in_use(model: ServedModel, versions: list[int], keep: int) -> None:
    after, deleted = release.prune(model, versions, keep)
    left = [version for version in versions if version not in deleted]
    mended = release.mended(model, versions)
    answering = release.reached(mended, versions)
    assert set(deleted) <= set(versions)
    assert set(versions[-keep:]) <= set(left)
    assert after.labels == mended.labels
    assert set(after.labels.values()) <= set(left)
    assert release.reached(after, left) == answering
    assert all(version <= after.labels.get("stable", answering) for version in deleted)
    if isinstance(after.policy, Specific):
        assert set(after.policy.versions) <= set(left)
    if release.STABLE in mended.labels:
        used = {*mended.labels.values(), answering}
        expected = {v for v in versions[:-keep] if v not in used and v < mended.labels[release.STABLE]}
        assert set(deleted) == expected


@given(models, on_disk, st.data())
def test_every_step_moves_labels_only_to_versions_that_were_served_before(
    model: ServedModel, versions: list[int], data: st.DataObject
) -> None:
    version = data.draw(st.sampled_from(versions))
    before = model  # with labels on versions that are gone, too
    after = release.promote(before, versions, version, data.draw(st.sampled_from(release.LABELS)))
    step = release.step(before, after, versions)
    if step != after:
        assert step.labels == before.labels
        assert release.moved(before, after) <= set(release.allowed(step.policy, versions))
        assert set(release.allowed(before.policy, versions)) <= set(release.allowed(step.policy, versions))
        assert release.step(step, after, versions) == after


def test_without_versions_there_is_nothing_to_label() -> None:
    for change in (release.promote, release.rollback, release.mended):
        with pytest.raises(UserError, match="No model has been pushed"):
            change(FRESH, [])
