"""A version is served before its label moves, and withdrawn again only by the last command that awaits it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.rollout import awaited, labels
from serving.tf_serving.model_config import All, Latest, Policy, ServedModel, Specific

VERSIONS = [1, 2, 3, 5]
on_disk = st.sets(st.integers(0, 12), min_size=1, max_size=8).map(sorted)
policies = st.one_of(
    st.builds(Latest, st.integers(1, 4)),
    st.just(All()),
    st.sets(st.integers(0, 12), min_size=1, max_size=5).map(lambda versions: Specific(tuple(sorted(versions)))),
)
assignments = st.dictionaries(st.sampled_from(["stable", "canary", "mine"]), st.integers(0, 12), max_size=3)
waiting = st.dictionaries(st.integers(0, 12), st.sets(st.sampled_from("abc"), min_size=1).map(tuple), max_size=3)
models = st.builds(ServedModel, st.just("m"), st.just("/m"), policies, assignments, waiting)


def entry(policy: Policy, **waits: str) -> ServedModel:
    ids = {int(version.removeprefix("v")): tuple(commands) for version, commands in waits.items()}
    return ServedModel("m", "/m", policy, {"stable": 2, "canary": 2}, ids)


def test_only_the_missing_version_is_served_in_addition() -> None:
    before = entry(Specific((1, 2)))
    assert awaited.served(before, {5}, VERSIONS, "a") == entry(Specific((1, 2, 5)), v5="a")


def test_newest_versions_are_served_down_to_the_missing_one() -> None:
    assert awaited.served(entry(Latest(1)), {2}, VERSIONS, "a") == entry(Latest(3))


def test_version_that_another_command_awaits_has_to_be_awaited_as_well() -> None:
    """The servers may not have read yet that it is served."""
    before = entry(Specific((1, 2, 5)), v5="a")
    assert awaited.settled(before, VERSIONS, "a") == {1, 2, 5}
    assert awaited.settled(before, VERSIONS, "b") == {1, 2}
    assert awaited.served(before, {5}, VERSIONS, "b") == entry(Specific((1, 2, 5)), v5="ab")


def test_labeled_version_is_not_awaited() -> None:
    before = entry(Specific((1, 2, 5)), v5="ab")
    assert labels.promote(before, VERSIONS, 5).awaited == {}
    assert labels.promote(before, VERSIONS, 1).awaited == {5: ("a", "b")}
    assert labels.rollback(before, VERSIONS, 1).awaited == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (entry(Specific((1, 2, 5)), v5="a"), entry(Specific((1, 2)))),
        (entry(Specific((1, 2, 5)), v5="ab"), entry(Specific((1, 2, 5)), v5="b")),
        (entry(Specific((1, 2, 5)), v5="b"), entry(Specific((1, 2, 5)), v5="b")),
        (entry(Specific((1, 2, 5))), entry(Specific((1, 2, 5)))),  # another command has labeled it meanwhile
        (entry(Specific((1, 2))), entry(Specific((1, 2)))),
        (entry(Specific((5,)), v5="a"), entry(Specific((5,)))),  # a policy without a version would serve nothing
        (entry(All()), entry(All())),
    ],
)
def test_given_up_version_is_withdrawn_if_no_other_command_needs_it(before: ServedModel, after: ServedModel) -> None:
    assert awaited.given_up(before, "a") == after


def test_policy_of_newest_versions_is_restored_if_it_is_still_there() -> None:
    written = (Latest(1), Latest(3))
    assert awaited.given_up(entry(Latest(3)), "a", written) == entry(Latest(1))
    assert awaited.given_up(entry(All()), "a", written) == entry(All())


@given(models, on_disk, st.data())
def test_labels_move_only_to_versions_served_before(
    before: ServedModel, versions: list[int], data: st.DataObject
) -> None:
    after = labels.promote(before, versions, data.draw(st.sampled_from(versions)))
    missing = awaited.moved(before, after) - awaited.settled(before, versions, "a")
    if missing:
        step = awaited.served(before, missing, versions, "a")
        assert step.labels == before.labels
        assert awaited.moved(before, after) <= awaited.settled(step, versions, "a")
        assert set(labels.allowed(before.policy, versions)) <= set(labels.allowed(step.policy, versions))
        back = awaited.given_up(step, "a", (before.policy, step.policy) if isinstance(step.policy, Latest) else None)
        assert set(labels.allowed(back.policy, versions)) <= set(labels.allowed(step.policy, versions))
        others = {version: tuple(one for one in ids if one != "a") for version, ids in before.awaited.items()}
        assert back.awaited == {version: ids for version, ids in others.items() if ids and version in versions}
