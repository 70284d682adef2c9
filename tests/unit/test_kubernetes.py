"""The manifests for Kubernetes: their schemas, that nothing in them is root, and what they run."""

from __future__ import annotations

import json
import shlex
import tomllib
from typing import Any

import kubernetes_validate
import pytest
from container_commands import parse, unknown_variables
from custom_resources import KINDS
from kustomizing import DEPLOY, OVERLAYS, Manifest, clusters, overlay, pods, settings_of

from ridgeway.host.pulse import GRACE_SECONDS
from ridgeway.host.roles import PER_GPU

KUBERNETES = "1.37"
UID = 10001
BUILT = {name: overlay(name) for name in OVERLAYS}


def once(found: list[tuple[str, Any]]) -> list[Any]:
    """Parameters of a test, those that overlays share once."""
    kept = {json.dumps(value, sort_keys=True): (name, value) for name, value in reversed(found)}
    return [pytest.param(value, id=name) for name, value in kept.values()]


OBJECTS = once(
    [
        (f"{name}: {each['kind']} {each['metadata']['name']}", each)
        for name, objects in BUILT.items()
        for each in objects
    ]
)
PODS = once(
    [(f"{name}: {called}", pod) for name, objects in BUILT.items() for called, pod in pods(objects)]
)
CLUSTERS = [
    pytest.param(cluster, id=name)
    for name, objects in BUILT.items()
    for cluster in clusters(objects)
]


def commands() -> list[list[str]]:
    """What containers of ours run, and what is submitted to Ray; each once."""
    objects = [each for objects in BUILT.values() for each in objects]
    found = [
        container["command"]
        for _, pod in pods(objects)
        for container in pod["containers"]
        if "command" in container
    ]
    jobs = [each["spec"]["entrypoint"] for each in objects if each["kind"] == "RayJob"]
    found += [shlex.split(entrypoint) for entrypoint in jobs]
    return [list(command) for command in dict.fromkeys(map(tuple, found))]


def as_pod_template(pod: Manifest) -> Manifest:
    """A pod's spec within the one kind that has nothing else, for Kubernetes' own schema."""
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "any"},
        "template": {"spec": pod},
    }


@pytest.mark.parametrize("manifest", OBJECTS)
def test_every_object_fits_its_schema(manifest: Manifest) -> None:
    if manifest["kind"] in KINDS:
        KINDS[manifest["kind"]].model_validate(manifest)
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("pod", PODS)
def test_every_pod_fits_its_schema(pod: Manifest) -> None:
    kubernetes_validate.validate(as_pod_template(pod), KUBERNETES, strict=True)


def test_a_misspelt_field_would_be_noticed() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            as_pod_template({"containers": [{"name": "a", "readOnly": True}]}),
            KUBERNETES,
            strict=True,
        )


@pytest.mark.parametrize("pod", PODS)
def test_no_pod_is_root_or_asks_the_api_server(pod: Manifest) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": UID,
        "runAsGroup": UID,
        "fsGroup": UID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all(volume.keys() & {"secret", "emptyDir", "projected"} for volume in pod["volumes"])


LOCKED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@pytest.mark.parametrize("pod", PODS)
def test_no_container_writes_but_into_folders_of_its_own(pod: Manifest) -> None:
    writable = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
    for container in pod["containers"]:
        assert container["securityContext"] == LOCKED
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert {mounts[path]["name"] for path in ("/tmp", "/var/cache/ridgeway")} == writable
        assert mounts["/run/secrets/ridgeway"]["readOnly"]
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
    assert all("sizeLimit" in each["emptyDir"] for each in pod["volumes"] if "emptyDir" in each)


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_only_the_autoscaler_of_ray_has_a_token_of_kubernetes(cluster: Manifest) -> None:
    options = cluster["autoscalerOptions"]
    assert options["securityContext"] == LOCKED
    assert "api-access" in {mount["name"] for mount in options["volumeMounts"]}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for container in (each for group in groups for each in group["template"]["spec"]["containers"]):
        assert "api-access" not in {mount["name"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize("pod", PODS)
def test_secrets_are_files(pod: Manifest) -> None:
    for container in pod["containers"]:
        given = [*container.get("envFrom", []), *container.get("env", [])]
        assert all("secretRef" not in each and "valueFrom" not in each for each in given)
    (secret,) = (volume["secret"] for volume in pod["volumes"] if "secret" in volume)
    assert secret == {"secretName": "ridgeway", "defaultMode": 0o440}


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_secret_file_lies_where_the_secret_is_mounted(name: str) -> None:
    files = {key: path for key, path in settings_of(BUILT[name]).items() if key.endswith("_FILE")}
    assert files.keys() >= {"RIDGEWAY_DATABASE_URL_FILE", "AWS_SHARED_CREDENTIALS_FILE"}
    assert all(path.startswith("/run/secrets/ridgeway/") for path in files.values())


@pytest.mark.parametrize("name", OVERLAYS)
def test_all_that_is_written_lies_in_a_folder_that_may_be(name: str) -> None:
    settings = settings_of(BUILT[name])
    written = [settings[each] for each in ("HOME", "XDG_CACHE_HOME", "RIDGEWAY_DATA")]
    assert all(f"{path}/".startswith("/var/cache/ridgeway/") for path in written)


def test_no_manifest_has_a_secret_in_it() -> None:
    assert not [each for objects in BUILT.values() for each in objects if each["kind"] == "Secret"]


def test_every_ridgeway_variable_is_a_setting() -> None:
    written = "".join(file.read_text() for file in DEPLOY.rglob("*.yaml"))
    assert unknown_variables(written) == set()


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_parses(command: list[str]) -> None:
    parse(command)


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_is_given_longer_to_end_than_it_takes(pod: Manifest) -> None:
    before = sum(
        int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        for container in pod["containers"]
        if "lifecycle" in container
    )
    assert pod["terminationGracePeriodSeconds"] >= before + 2 * GRACE_SECONDS


@pytest.mark.parametrize("name", OVERLAYS)
def test_everything_that_runs_on_is_probed_and_kept_through_drains(name: str) -> None:
    selectors = [
        each["spec"]["selector"]["matchLabels"]
        for each in BUILT[name]
        if each["kind"] == "PodDisruptionBudget"
    ]
    for each in BUILT[name]:
        if each["kind"] == "Deployment":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            assert {"startupProbe", "readinessProbe"} <= container.keys()
            labels = each["spec"]["template"]["metadata"]["labels"]
            assert labels == each["spec"]["selector"]["matchLabels"]
            assert labels in selectors
    for _, pod in pods([each for each in BUILT[name] if each["kind"].startswith("Ray")]):
        assert {"readinessProbe", "livenessProbe"} <= pod["containers"][0].keys()


@pytest.mark.parametrize("name", OVERLAYS)
def test_whatever_is_not_allowed_is_forbidden(name: str) -> None:
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in BUILT[name]
        if each["kind"] == "NetworkPolicy"
    }
    everything = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert policies.pop("default-deny") == everything
    # Nothing comes in from everywhere, and what goes out names its ports or its pods.
    for spec in policies.values():
        assert all(rule["from"] for rule in spec.get("ingress", []))
        assert all("ports" in rule or rule["to"] for rule in spec.get("egress", []))


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_service_answers_to_the_names_that_it_is_asked_by(name: str) -> None:
    hosts = settings_of(BUILT[name])["RIDGEWAY_HOSTS"].split(",")
    scaled = [each for each in BUILT[name] if each["kind"] == "ScaledObject"]
    urls = [trigger["metadata"]["url"] for each in scaled for trigger in each["spec"]["triggers"]]
    assert {"service", *(url.split("/")[2].split(":")[0] for url in urls)} <= set(hosts)


def test_what_is_scaled_is_there_and_nobody_else_counts_it() -> None:
    objects = BUILT["gpu"]
    deployments = {
        each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "Deployment"
    }
    scaled = [each for each in objects if each["kind"] == "ScaledObject"]
    keys = {each["metadata"]["name"] for each in objects if each["kind"] == "TriggerAuthentication"}
    assert len(scaled) == 2
    for each in scaled:
        assert "replicas" not in deployments[each["spec"]["scaleTargetRef"]["name"]]
        assert {t["authenticationRef"]["name"] for t in each["spec"]["triggers"]} <= keys


@pytest.mark.parametrize(
    ("device", "resource", "workers"), [("cpu", "cpu", 1), ("gpu", "nvidia.com/gpu", PER_GPU)]
)
def test_a_pod_is_kept_while_as_many_are_busy_as_it_has_workers(
    device: str, resource: str, workers: int
) -> None:
    named = {(each["kind"], each["metadata"]["name"]): each for each in BUILT["gpu"]}
    pod = named["Deployment", f"workers-{device}"]["spec"]["template"]["spec"]
    here = workers * int(pod["containers"][0]["resources"]["limits"][resource])
    _, busy = named["ScaledObject", f"workers-{device}"]["spec"]["triggers"]
    assert busy["metadata"]["targetValue"] == str(here)
    command = pod["containers"][0]["command"]
    kind = command[command.index("--device") + 1]
    assert busy["metadata"]["valueLocation"] == f'ridgeway_busy_workers{{device="{kind}"}}'


def test_both_variants_of_ray_have_the_same_cluster() -> None:
    (shared,), (own,) = clusters(BUILT["ray-cluster"]), clusters(BUILT["ray-job"])
    (gpus,) = own["workerGroupSpecs"]
    assert gpus in shared["workerGroupSpecs"]
    assert own == {**shared, "workerGroupSpecs": [gpus]}


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_ray_is_the_release_that_the_image_has(cluster: Manifest) -> None:
    project = tomllib.loads((DEPLOY.parents[1] / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["kuberay"]
    assert f"ray[default]=={cluster['rayVersion']}" in extra
