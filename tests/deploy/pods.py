"""From manifests to pods that podman can run: what a StatefulSet and a kubelet would make of them.

Invariants: objects in, objects out. What podman cannot do is left out here by name: probes, spreading, fields of the pod
as variables, Secrets. A native sidecar becomes a plain container, the first one, because podman would wait for it to
end (https://github.com/containers/podman/issues/20372).

Not here: running them (scenario.py). When there is `vedetta inject --mode container`, it replaces `as_container_mode`.
"""

import base64
import copy

NAMESPACE = "redis"
DOMAIN = f"{NAMESPACE}.svc.cluster.local"


def secret_texts(objects: list[dict]) -> dict[str, dict[str, str]]:
    """What is in each Secret."""
    return {
        secret["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        for secret in objects
        if secret["kind"] == "Secret"
    }


def as_container_mode(spec: dict) -> dict:
    """Native sidecars as plain containers, before the others."""
    spec = copy.deepcopy(spec)
    sidecars = [c for c in spec.get("initContainers", []) if c.get("restartPolicy") == "Always"]
    for sidecar in sidecars:
        spec["initContainers"].remove(sidecar)
        del sidecar["restartPolicy"]
    spec["containers"] = sidecars + spec["containers"]
    return spec


def runnable(name: str, labels: dict, spec: dict, images: dict[str, str], secrets: dict) -> dict:
    """A Pod that podman runs. `images` maps the name of a container to its image."""
    spec = as_container_mode(spec)
    for field in ("topologySpreadConstraints", "automountServiceAccountToken"):
        spec.pop(field, None)
    pod_context = spec.pop("securityContext", {})
    for container in spec["containers"]:
        container["image"] = images[container["name"]]
        container["imagePullPolicy"] = "Never"
        # podman would open them on this machine.
        container.pop("ports", None)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            container.pop(probe, None)
        context = container.setdefault("securityContext", {})
        for field in ("runAsUser", "runAsGroup"):
            if field in pod_context:
                context.setdefault(field, pod_context[field])
        fields = {"metadata.name": name, "metadata.namespace": NAMESPACE}
        for entry in container.get("env", []):
            if "valueFrom" in entry:
                entry["value"] = fields[entry.pop("valueFrom")["fieldRef"]["fieldPath"]]
        for source in container.pop("envFrom", []):
            texts = secrets[source["secretRef"]["name"]]
            container.setdefault("env", []).extend({"name": key, "value": text} for key, text in texts.items())
    # podman makes an emptyDir a volume by that name, which all pods would share.
    own = {volume["name"]: f"{name}-{volume['name']}" for volume in spec.get("volumes", [])}
    for mount in (mount for container in spec["containers"] for mount in container["volumeMounts"]):
        mount["name"] = own[mount["name"]]
    for volume in spec.get("volumes", []):
        volume["name"] = own[volume["name"]]
        if "secret" in volume:
            volume["configMap"] = {"name": volume.pop("secret")["secretName"]}
        # It knows no size.
        if "emptyDir" in volume:
            volume["emptyDir"].pop("sizeLimit", None)
    spec["restartPolicy"] = "Always"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def replicas(stateful_set: dict) -> list[tuple[str, dict, dict]]:
    """Name, labels and spec of each pod of a StatefulSet."""
    name, template = stateful_set["metadata"]["name"], stateful_set["spec"]["template"]
    return [
        (f"{name}-{i}", template["metadata"]["labels"], template["spec"])
        for i in range(stateful_set["spec"]["replicas"])
    ]


def names(name: str, service: str | None) -> list[str]:
    """The names by which others find the pod: as the headless Service gives them, with and without the domain."""
    if service is None:
        return [name]
    return [f"{name}.{service}.{DOMAIN}", f"{name}.{service}.{NAMESPACE}", f"{name}.{service}"]
