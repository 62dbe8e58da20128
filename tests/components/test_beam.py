"""Arguments of the Beam pipelines, and what is refused before a run starts."""

import socket

import pytest

from components import beam
from components.errors import UserError

ENGINE = ("--runner=PortableRunner", "--job_endpoint=127.0.0.1:8099")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), [*beam.LOCAL]),
        (("--direct_num_workers=2",), [*beam.LOCAL, "--direct_num_workers=2"]),
        (("--x=1", "--runner=SparkRunner"), ["--x=1", "--runner=SparkRunner"]),
        (("--runner", "FlinkRunner"), ["--runner", "FlinkRunner"]),
    ],
)
def test_beam_uses_the_local_runner_unless_another_is_configured(given: tuple[str, ...], expected: list[str]) -> None:
    assert beam.arguments(given) == expected


@pytest.mark.integration
def test_job_of_a_job_service_may_take_longer_than_beams_minute() -> None:
    from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

    def seconds(*more: str) -> int:
        options = PipelineOptions(beam.arguments([*ENGINE, *more])).view_as(PortableOptions)
        return int(options.job_server_timeout)

    assert seconds() >= 24 * 3600
    assert seconds("--job_server_timeout=7") == 7


@pytest.mark.integration
@pytest.mark.parametrize(
    "given",
    [
        (),
        (*ENGINE, "--environment_type=EXTERNAL", "--environment_config=127.0.0.1:50000"),
        (*ENGINE, "--environment_type", "process"),
        (*ENGINE, "--environment_type=EXTERNAL", "--setup_file=setup.py"),
    ],
)
def test_tfx_builds_no_package_of_its_sources(given: tuple[str, ...]) -> None:
    """The workers have TFX, and those in containers could not install the package without an index."""
    from tfx.utils import dependency_utils

    arguments = beam.arguments(given)
    assert dependency_utils.make_beam_dependency_flags(arguments) == arguments
    assert sum(map(arguments.count, (beam.NO_PACKAGE, "--setup_file=setup.py"))) == 1


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (("--runner=DaskRunner",), "Dask runner cannot run this pipeline"),
        (("--runner", "apache_beam.runners.dask.dask_runner.DaskRunner"), "Dask runner cannot run this pipeline"),
        (("--runner=PortableRunner",), "add --job_endpoint=HOST:PORT"),
        (("--runner",), "beam_args cannot be read"),
    ],
)
def test_runner_that_cannot_run_the_pipeline_is_refused(given: tuple[str, ...], part: str) -> None:
    with pytest.raises(UserError, match=part) as refused:
        beam.check_runner(given)
    assert f"Received: {given[0]}" in str(refused.value)


@pytest.mark.parametrize("given", [(), ENGINE, ("--runner=DataflowRunner",), ("--runner=FlinkRunner",)])
def test_other_runners_are_not_refused(given: tuple[str, ...]) -> None:
    beam.check_runner(given)


@pytest.mark.integration
def test_job_service_that_cannot_be_reached_is_refused_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        beam.check_job_service(["--runner=PortableRunner", f"--job_endpoint={address}"])
    with pytest.raises(UserError, match=f"cannot be reached: Connection refused.*Received: {address}"):
        beam.check_job_service(["--runner=PortableRunner", "--job_endpoint", address])


@pytest.mark.parametrize("given", [(), ("--job_endpoint=embed",), ("--job_endpoint=dns:///flink:8099",)])
def test_what_is_no_address_is_left_to_beam(given: tuple[str, ...]) -> None:
    beam.check_job_service(given)
