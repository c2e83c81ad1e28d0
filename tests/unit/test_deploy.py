"""The files of `deploy/` are what their readers want: Ray's own schema, the fields of KubeRay's reference, our lock."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml

from agentsoc.cli.main import app

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKED_RAY = re.search(r"^ray==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)

# Fields that KubeRay 1.5 and 1.6 document for ray.io/v1, as far as they concern a job with a cluster of its own.
JOB = {
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint",
    "entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata",
    "preRunningDeadlineSeconds", "rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode",
    "submitterConfig", "submitterPodTemplate", "suspend", "ttlSecondsAfterFinished",
}  # fmt: skip
CLUSTER = {
    "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
    "headServiceAnnotations", "managedBy", "networkPolicy", "rayVersion", "suspend", "upgradeStrategy",
    "workerGroupSpecs",
}  # fmt: skip
HEAD = {"enableIngress", "headService", "labels", "rayStartParams", "resources", "serviceType", "template"}
WORKERS = {
    "groupName", "idleTimeoutSeconds", "labels", "maxReplicas", "minReplicas", "numOfHosts", "rayStartParams",
    "replicas", "resources", "scaleStrategy", "suspend", "template",
}  # fmt: skip
CONTAINER = {"env", "envFrom", "image", "imagePullPolicy", "name", "ports", "resources", "volumeMounts"}


def only(found: dict[str, Any], allowed: set[str]) -> dict[str, Any]:
    assert set(found) <= allowed, set(found) - allowed
    return found


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def ray_version() -> str:
    assert LOCKED_RAY is not None
    return LOCKED_RAY[1]


def commands(text: str) -> list[str]:
    """Return the calls of agentsoc in a file, comments and continued lines included."""
    text = re.sub(r"\\\n#?", " ", text)
    return [
        " ".join(found.rstrip("'").split()) for found in re.findall(r"\bagentsoc ((?:compare|run|resume) [^\n]+)", text)
    ]


def require_options(call: str) -> None:
    """Check that a command of ours has the options that a call of it gives."""
    verb, *words = call.split()
    command = typer.main.get_command(app)
    found = command.get_command(None, verb)  # type: ignore[attr-defined]
    known = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.fixture(scope="module")
def job() -> Any:
    volume, found = documents("kuberay/rayjob.yaml")
    assert (volume["apiVersion"], volume["kind"]) == ("v1", "PersistentVolumeClaim")
    assert volume["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert (found["apiVersion"], found["kind"], set(found)) == (
        "ray.io/v1",
        "RayJob",
        {"apiVersion", "kind", "metadata", "spec"},
    )
    return found


def test_the_job_has_the_fields_of_a_rayjob_and_a_token(job: Any) -> None:
    spec = only(job["spec"], JOB)
    cluster = only(spec["rayClusterSpec"], CLUSTER)
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] == ray_version()
    only(cluster["headGroupSpec"], HEAD)
    for group in cluster["workerGroupSpecs"]:
        only(group, WORKERS)
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert set(yaml.safe_load(spec["runtimeEnvYAML"])) == {"env_vars"}


def test_runs_are_on_one_volume_that_the_head_alone_mounts(job: Any) -> None:
    claim = documents("kuberay/rayjob.yaml")[0]["metadata"]["name"]
    cluster = job["spec"]["rayClusterSpec"]
    pod = cluster["headGroupSpec"]["template"]["spec"]
    [head] = pod["containers"]
    only(head, CONTAINER)
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["runs"]["persistentVolumeClaim"]["claimName"] == claim
    places = {mount["mountPath"]: mount["name"] for mount in head["volumeMounts"]}
    assert set(places.values()) <= set(volumes)
    out = re.search(r"--out (\S+)/", job["spec"]["entrypoint"])
    assert out is not None
    assert places[out[1]] == "runs"
    for group in cluster["workerGroupSpecs"]:
        [worker] = only(group["template"]["spec"], {"containers"})["containers"]
        assert "volumeMounts" not in only(worker, CONTAINER)
        assert worker["image"] == head["image"] == f"agentsoc:{PROJECT['version']}"
        assert worker["envFrom"] == head["envFrom"]


def test_the_cluster_is_one_by_rays_own_schema() -> None:
    package = find_spec("ray")
    if package is None or not package.submodule_search_locations:
        pytest.skip("needs the extra ray, which brings the schema")
    schema = json.loads((Path(package.submodule_search_locations[0]) / "autoscaler" / "ray-schema.json").read_text())
    [cluster] = documents("cluster.yaml")
    jsonschema.validate(cluster, schema)
    with pytest.raises(jsonschema.ValidationError):  # the schema does refuse something
        jsonschema.validate({**cluster, "max_worker": 1}, schema)


def test_every_ray_of_the_cluster_starts_with_a_token_and_the_locked_version() -> None:
    [cluster] = documents("cluster.yaml")
    starts = [
        line
        for name in ("head_start_ray_commands", "worker_start_ray_commands")
        for line in cluster[name]
        if "ray start" in line
    ]
    assert len(starts) == 2
    for line in starts:
        assert "RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=~/ray-token" in line
    assert "~/ray-token" in cluster["file_mounts"]
    assert any(
        f"ray=={ray_version()}" in line and f"=={PROJECT['version']}" in line for line in cluster["setup_commands"]
    )


def test_commands_in_these_files_have_options_that_exist() -> None:
    found = [call for name in ("kuberay/rayjob.yaml", "cluster.yaml") for call in commands((DEPLOY / name).read_text())]
    assert len(found) == 2
    for call in found:
        require_options(call)


def test_the_image_copies_what_is_there_and_installs_by_hash() -> None:
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert {line.split()[0] for line in lines} <= {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "CMD"}
    for line in lines:
        if line.startswith("COPY"):
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line
    version = re.match(r"FROM python:3\.([0-9]+)-slim", lines[0])
    assert version is not None
    assert 11 <= int(version[1]) <= 13  # as requires-python says
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    installs = [line for line in lines if "pip install" in line]
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation" in line for line in installs)
    assert lines.index("USER agentsoc") > max(map(lines.index, installs))
    copied = {source for line in lines if line.startswith("COPY") for source in line.split()[1:-1]}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*packages["packages"], PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml"} <= copied
