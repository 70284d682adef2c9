"""The custom resources that our manifests use, field by field; no schemas come with Kubernetes.

Of each kind the fields that ours may have, from KubeRay's reference (ray.io/v1, KubeRay 1.6) and
KEDA's (keda.sh/v1alpha1, KEDA 2.20). Pods in them are left to Kubernetes' own schema.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from pydantic.alias_generators import to_camel

Name = Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=47)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Metadata(Strict):
    name: str = Name
    namespace: str = Name
    labels: dict[str, str] = {}


class AuthOptions(Strict):
    mode: Literal["token"]


class AutoscalerOptions(Strict):
    version: Literal["v2"]
    idle_timeout_seconds: PositiveInt
    security_context: dict[str, Any]
    volume_mounts: list[dict[str, Any]]
    resources: dict[str, Any]


class HeadGroup(Strict):
    ray_start_params: dict[str, str]
    template: dict[str, Any]


class WorkerGroup(HeadGroup):
    group_name: str = Name
    replicas: int = Field(ge=0)
    min_replicas: int = Field(ge=0)
    max_replicas: PositiveInt

    @model_validator(mode="after")
    def _in_order(self) -> WorkerGroup:
        assert self.min_replicas <= self.replicas <= self.max_replicas
        return self


class ClusterSpec(Strict):
    ray_version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    auth_options: AuthOptions
    enable_in_tree_autoscaling: bool
    autoscaler_options: AutoscalerOptions
    head_group_spec: HeadGroup
    worker_group_specs: list[WorkerGroup]


class RayCluster(Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: Metadata
    spec: ClusterSpec


class JobSpec(Strict):
    entrypoint: str
    submission_mode: Literal["HTTPMode"]
    backoff_limit: int = Field(ge=0)
    shutdown_after_job_finishes: bool = False
    ttl_seconds_after_finished: int = Field(0, ge=0)
    cluster_selector: dict[Literal["ray.io/cluster"], str] | None = None
    ray_cluster_spec: ClusterSpec | None = None

    @model_validator(mode="after")
    def _one_cluster(self) -> JobSpec:
        """As KubeRay refuses what has no cluster, or would delete one that it does not own."""
        assert (self.cluster_selector is None) != (self.ray_cluster_spec is None)
        assert self.shutdown_after_job_finishes or not self.ttl_seconds_after_finished
        return self


class RayJob(Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: JobSpec


class SecretTarget(Strict):
    parameter: Literal["token"]
    name: str
    key: str


class AuthenticationSpec(Strict):
    secret_target_ref: list[SecretTarget]


class TriggerAuthentication(Strict):
    api_version: Literal["keda.sh/v1alpha1"]
    kind: Literal["TriggerAuthentication"]
    metadata: Metadata
    spec: AuthenticationSpec


class Named(Strict):
    name: str


class MetricsApi(Strict):
    """KEDA's metadata are strings, numbers too."""

    url: str = Field(pattern=r"^http://[a-z0-9.-]+:\d+/metrics$")
    format: Literal["prometheus"]
    value_location: str
    target_value: str = Field(pattern=r"^\d+$")
    auth_mode: Literal["bearer"]


class Trigger(Strict):
    type: Literal["metrics-api"]
    metadata: MetricsApi
    authentication_ref: Named


class Fallback(Strict):
    failure_threshold: PositiveInt
    replicas: int = Field(ge=0)


class ScaledSpec(Strict):
    scale_target_ref: Named
    min_replica_count: int = Field(ge=0)
    max_replica_count: PositiveInt
    polling_interval: PositiveInt
    cooldown_period: PositiveInt
    fallback: Fallback
    triggers: list[Trigger] = Field(min_length=1)


class ScaledObject(Strict):
    api_version: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: ScaledSpec


KINDS: dict[str, type[Strict]] = {
    kind.__name__: kind for kind in (RayCluster, RayJob, ScaledObject, TriggerAuthentication)
}
