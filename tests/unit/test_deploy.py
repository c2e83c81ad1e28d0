"""The files of `deploy/` are what their readers want: Ray's own schema, the fields of KubeRay's reference, our lock."""

from __future__ import annotations

import ast
import copy
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

COUNT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
TEXT = {"type": "string", "minLength": 1}
NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
QUANTITIES = {
    "type": "object",
    "additionalProperties": {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(m|[KMGT]i)?$"},
}


def block(required: str = "", **fields: Any) -> dict[str, Any]:
    """Return the schema of an object that has these fields and no others."""
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": fields}


def several(one: Any) -> dict[str, Any]:
    """Return the schema of a list that is not empty."""
    return {"type": "array", "minItems": 1, "items": one}


# A schema of our own, in which are the fields that KubeRay's reference of ray.io/v1 (1.5.1 and newer) and Kubernetes'
# have for a job with a cluster of its own, as far as our file uses them: not the schema that KubeRay ships. It is
# stricter: that `rayVersion`, `authOptions`, `requests` and `limits` are there, and that the mode of `authOptions` is
# "token", we demand of our own file.
CONTAINER = block(
    "name image resources",
    name=NAME,
    image=TEXT,
    ports=several(block("containerPort name", containerPort={**COUNT, "maximum": 65_535}, name=NAME)),
    envFrom=several(block("secretRef", secretRef=block("name", name=NAME, optional={"type": "boolean"}))),
    resources=block("requests limits", requests=QUANTITIES, limits=QUANTITIES),
    volumeMounts=several(block("name mountPath", name=NAME, mountPath=TEXT, readOnly={"type": "boolean"})),
)
VOLUME = block(
    "name",
    name=NAME,
    persistentVolumeClaim=block("claimName", claimName=NAME),
    configMap=block("name", name=NAME),
)
POD = block(
    "spec",
    spec=block(
        "containers",
        containers=several(CONTAINER),
        volumes=several(VOLUME),
        securityContext=block(fsGroup=COUNT),
    ),
)
HEAD = block("template", rayStartParams=TEXTS, template=POD)
WORKERS = block(
    "groupName template minReplicas maxReplicas",
    groupName=NAME,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=TEXTS,
    template=POD,
)
CLUSTER = block(
    "headGroupSpec rayVersion authOptions",
    rayVersion={"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$"},
    authOptions=block("mode", mode={"enum": ["token"]}),
    headGroupSpec=HEAD,
    workerGroupSpecs=several(WORKERS),
)
JOB = block(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=block("name", name=NAME),
    spec=block(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        runtimeEnvYAML=TEXT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=CLUSTER,
    ),
)


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
    return found


def test_the_job_is_a_rayjob_with_a_token_by_the_schema_of_its_fields(job: Any) -> None:
    jsonschema.validate(job, JOB)
    spec = job["spec"]
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == ray_version()
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert set(yaml.safe_load(spec["runtimeEnvYAML"])) == {"env_vars"}
    assert all(isinstance(value, str) for value in yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"].values())


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("spec.rayClusterSpec.workerGroupSpecs.0.replicas", "4"),
        ("spec.rayClusterSpec.workerGroupSpecs.0.maxReplica", 4),
        ("spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus", 0),
        ("spec.rayClusterSpec.headGroupSpec.template.spec.containers.0.resources.limits.memory", "8GB"),
        ("spec.rayClusterSpec.authOptions.mode", "disabled"),
        ("spec.runtimeEnvYAML", {"env_vars": {}}),
    ],
)
def test_our_schema_of_a_rayjob_refuses_wrong_types_unknown_fields_and_a_cluster_without_token(
    job: Any, place: str, value: Any
) -> None:
    changed = copy.deepcopy(job)
    *above, last = place.split(".")
    at = changed
    for key in above:
        at = at[int(key) if key.isdigit() else key]
    at[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed, JOB)


def test_runs_are_on_one_volume_that_the_head_alone_mounts(job: Any) -> None:
    claim = documents("kuberay/rayjob.yaml")[0]["metadata"]["name"]
    cluster = job["spec"]["rayClusterSpec"]
    pod = cluster["headGroupSpec"]["template"]["spec"]
    [head] = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["runs"]["persistentVolumeClaim"]["claimName"] == claim
    places = {mount["mountPath"]: mount["name"] for mount in head["volumeMounts"]}
    assert set(places.values()) <= set(volumes)
    out = re.search(r"--out (\S+)/", job["spec"]["entrypoint"])
    assert out is not None
    assert places[out[1]] == "runs"
    for group in cluster["workerGroupSpecs"]:
        [worker] = group["template"]["spec"]["containers"]
        assert "volumeMounts" not in worker
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


def fields(path: Path, name: str) -> set[str]:
    """Return the fields of a class in a file, which is read and not imported: that would need its packages."""
    [found] = [
        node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef) and node.name == name
    ]
    return {
        node.target.id for node in found.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def test_the_model_server_uses_names_that_the_locked_ray_has() -> None:
    package = find_spec("ray")
    if package is None or not package.submodule_search_locations:
        pytest.skip("needs the extra ray, whose source is read")
    ray = Path(package.submodule_search_locations[0])
    own = ast.parse((DEPLOY / "model_server.py").read_text())
    public = ast.parse((ray / "serve" / "llm" / "__init__.py").read_text())
    [exported] = [
        ast.literal_eval(node.value)
        for node in public.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    ]
    [imported] = [node for node in own.body if isinstance(node, ast.ImportFrom)]
    assert imported.module == "ray.serve.llm"
    assert {alias.name for alias in imported.names} <= set(exported)
    core = ray / "llm" / "_internal" / "serve" / "core"
    config = core / "configs" / "llm_config.py"
    known = {
        "LLMConfig": fields(config, "LLMConfig"),
        "LLMServingArgs": fields(core / "ingress" / "builder.py", "LLMServingArgs"),
    }
    given = {
        call.func.id: {keyword.arg: keyword.value for keyword in call.keywords}
        for call in ast.walk(own)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    assert all(set(given[name]) <= known[name] for name in known)
    loading = ast.literal_eval(given["LLMConfig"]["model_loading_config"])
    assert set(loading) <= fields(config, "ModelLoadingConfig")
    assert f"hosted_vllm/{loading['model_id']}" in (ROOT / "docs" / "clusters.md").read_text()
