"""Kubernetes' manifests as `kubectl kustomize` builds them, of the little that ours use of it.

A field of a kustomization that is not known here is an error, not ignored: what is tested is what
would be applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (DEPLOY / "overlays").iterdir())
HEADER = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
KNOWN = {*HEADER, "namespace", "resources", "configMapGenerator", "images"}
IN_NO_NAMESPACE = ("Namespace",)

Manifest = dict[str, Any]


def overlay(name: str) -> list[Manifest]:
    """The objects of an overlay."""
    return build(DEPLOY / "overlays" / name)


def build(folder: Path) -> list[Manifest]:
    """The objects of a kustomization and of those that it names."""
    asked = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert asked.keys() <= KNOWN, f"{folder}: {asked.keys() - KNOWN} are not known here"
    assert HEADER.items() <= asked.items()
    objects: list[Manifest] = []
    for name in asked.get("resources", []):
        path = (folder / name).resolve()
        objects += build(path) if path.is_dir() else read(path)
    for generator in asked.get("configMapGenerator", []):
        _generate(generator, objects)
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names), f"{folder}: named twice among {names}"
    for each in objects:
        if "namespace" in asked and each["kind"] not in IN_NO_NAMESPACE:
            each["metadata"]["namespace"] = asked["namespace"]
        for image in asked.get("images", []):
            _rename(image, each)
    return objects


def read(file: Path) -> list[Manifest]:
    """The objects that stand in a file."""
    return [each for each in yaml.safe_load_all(file.read_text()) if each is not None]


def pods(objects: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """The spec of every pod that these objects lead to, and what it is called here."""
    for each in objects:
        name, spec = f"{each['kind']} {each['metadata']['name']}", each.get("spec", {})
        if each["kind"] in ("Deployment", "Job"):
            yield name, spec["template"]["spec"]
        for cluster in clusters([each]):
            yield f"{name}, head", cluster["headGroupSpec"]["template"]["spec"]
            for group in cluster["workerGroupSpecs"]:
                yield f"{name}, {group['groupName']}", group["template"]["spec"]


def clusters(objects: list[Manifest]) -> Iterator[Manifest]:
    """The spec of every cluster of Ray's among these objects."""
    for each in objects:
        if each["kind"] == "RayCluster":
            yield each["spec"]
        if each["kind"] == "RayJob" and "rayClusterSpec" in each["spec"]:
            yield each["spec"]["rayClusterSpec"]


def settings_of(objects: list[Manifest]) -> dict[str, str]:
    """What the ConfigMap `settings` puts into every container's environment."""
    (found,) = (each["data"] for each in objects if each["kind"] == "ConfigMap")
    return found


def _generate(generator: Manifest, objects: list[Manifest]) -> None:
    # With a hash in its name, a ConfigMap would not be found by Ray's own kinds.
    assert generator["options"] == {"disableNameSuffixHash": True}
    assert generator.keys() <= {"name", "behavior", "literals", "options"}
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    earlier = [
        each
        for each in objects
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == generator["name"]
    ]
    if generator.get("behavior", "create") == "merge":
        (merged,) = earlier
        merged["data"].update(data)
        return
    assert not earlier
    metadata = {"name": generator["name"]}
    objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _rename(image: Manifest, value: Any) -> None:
    """Give the image of this name its other name wherever containers are listed."""
    if isinstance(value, list):
        for each in value:
            _rename(image, each)
    elif isinstance(value, dict):
        for container in value.get("containers", []):
            if container.get("image") == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
        for each in value.values():
            _rename(image, each)
