"""What schemas do not see: mounts, ports, names and labels that have to agree with each other.

Invariants: pods are found wherever they are (Pod, template of a Deployment or StatefulSet, a Deployment that was
patched). What a pod refers to exists in the same set or is documented in the file that refers to it.

Not here: types and fields (schema.py).
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

from found import DEPLOY, documents, kustomize, require, shown

INJECTED = "vedetta.dev/injected"
ADMIN_PORT = "vedetta-admin"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
ENTANDO = Path(__file__).parent / "entando-deployment.yaml"


def patched() -> dict | None:
    """The Deployment of the operator with vedetta, as `kubectl patch` makes it; None without kubectl."""
    if not shutil.which("kubectl"):
        return None
    patch = DEPLOY / "examples/entando/sidecar.patch.yaml"
    command = ["kubectl", "patch", "--local", "-f", ENTANDO, "--patch-file", patch, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    require(done.returncode == 0, f"{shown(patch)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def pods() -> list[tuple[str, dict, dict]]:
    """Where, metadata and spec of each pod."""
    found = []
    for path in sorted((DEPLOY / "examples").glob("*.yaml")):
        found += [(shown(path), document) for document in documents(path.read_text())]
    for path in sorted((DEPLOY / "examples").rglob("kustomization.yaml")):
        found += [(shown(path.parent), document) for document in kustomize(path.parent) or []]
    deployment = patched()
    if deployment:
        found.append(("deploy/examples/entando (patched)", deployment))
    pods = []
    for where, document in found:
        template = document if document["kind"] == "Pod" else document.get("spec", {}).get("template")
        if template:
            pods.append((where, template["metadata"], template["spec"]))
    return pods


def containers(spec: dict) -> list[dict]:
    return spec.get("initContainers", []) + spec["containers"]


def check_pod(where: str, spec: dict) -> None:
    """A pod agrees with itself."""
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    mounted, numbers, names = set(), [], []
    for container in containers(spec):
        name = container["name"]
        require(NAME.fullmatch(name) and len(name) <= 63, f"{where}: `{name}` is no name for a container")
        for mount in container.get("volumeMounts", []):
            require(mount["name"] in volumes, f"{where}: {name} mounts `{mount['name']}`, which is no volume")
            mounted.add(mount["name"])
        for port in container.get("ports", []):
            require(0 < port["containerPort"] < 65536, f"{where}: {name} has the port {port['containerPort']}")
            require(len(port.get("name", "")) <= 15, f"{where}: `{port.get('name')}` is too long for a port name")
            numbers.append(port["containerPort"])
            names.append(port.get("name"))
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container.get(kind, {})
            port = probe.get("httpGet", probe.get("tcpSocket", {})).get("port")
            own = [port["name"] for port in container.get("ports", [])]
            require(port is None or port in own, f"{where}: {kind} of {name} asks port {port}, which it has not")
    require(len(numbers) == len(set(numbers)), f"{where}: two containers of a pod have the same port: {numbers}")
    require(volumes == mounted, f"{where}: nobody mounts {volumes - mounted}")


def check_sidecar(where: str, metadata: dict, spec: dict) -> None:
    """A pod with vedetta has it first, with the port and the label by which others find it."""
    require(metadata.get("labels", {}).get(INJECTED) == "true", f"{where}: no label {INJECTED}")
    first = spec["initContainers"][0]
    require(first["name"] == "vedetta", f"{where}: {first['name']} starts before vedetta, and cannot use it")
    require(first.get("restartPolicy") == "Always", f"{where}: vedetta is no native sidecar")
    require([p["name"] for p in first["ports"]] == [ADMIN_PORT], f"{where}: vedetta opens {first['ports']}")
    context = first["securityContext"]
    require("runAsUser" not in context, f"{where}: OpenShift refuses a pod that chooses its user")
    require("cpu" not in first["resources"]["limits"], f"{where}: throttling looks like a lost link")
    for container in spec["containers"]:
        mounts = [mount["name"] for mount in container.get("volumeMounts", [])]
        require("vedetta" in mounts, f"{where}: {container['name']} cannot reach the socket")
        env = {e["name"]: e.get("value") for e in container.get("env", [])}
        require(env.get("VEDETTA_ADDRESS", "").startswith("unix:"), f"{where}: {container['name']} is not told where")


def check_selectors(metas: list[dict]) -> None:
    """Who looks for pods finds those of the examples, by the names that they have."""
    monitor = documents((DEPLOY / "monitoring/podmonitor.yaml").read_text())[0]["spec"]
    require(monitor["selector"]["matchLabels"] == {INJECTED: "true"}, "podmonitor.yaml selects by another label")
    require([e["port"] for e in monitor["podMetricsEndpoints"]] == [ADMIN_PORT], "podmonitor.yaml scrapes another port")
    labels = [set(meta.get("labels", {}).items()) for meta in metas]
    for path in sorted((DEPLOY / "network-policies").glob("*.yaml")):
        for policy in documents(path.read_text()):
            selectors = [policy["spec"]["podSelector"]]
            for rule in policy["spec"].get("ingress", []) + policy["spec"].get("egress", []):
                peers = rule.get("from", []) + rule.get("to", [])
                selectors += [peer["podSelector"] for peer in peers if "podSelector" in peer]
            for selector in selectors:
                wanted = set(selector["matchLabels"].items())
                found = any(wanted <= have for have in labels)
                require(found, f"{shown(path)}: no pod of the examples has {dict(wanted)}")


def check() -> str:
    found = pods()
    with_vedetta = 0
    for where, metadata, spec in found:
        check_pod(where, spec)
        if any(container["name"] == "vedetta" for container in containers(spec)):
            with_vedetta += 1
            check_sidecar(where, metadata, spec)
    require(with_vedetta, "no example has vedetta")
    if shutil.which("kubectl"):
        check_selectors([metadata for _, metadata, _ in found])
    return f"{len(found)} pods, {with_vedetta} with vedetta"


def check_configuration(binary: str) -> str:
    """vedetta itself accepts what the manifests tell it, and follows Sentinels."""
    seen = []
    for where, _, spec in pods():
        for container in containers(spec):
            if container["name"] != "vedetta":
                continue
            env = {entry["name"]: entry["value"] for entry in container["env"]}
            done = run_check_config(binary, env)
            require(done.returncode == 0, f"{where}: vedetta check-config: {done.stderr or done.stdout}")
            shown_addresses = [line for line in done.stdout.splitlines() if line.startswith("sentinel.addresses")]
            listed = env.get("REDIS_ADDRESSES", "no Sentinels").split(",")
            require(shown_addresses and all(a in shown_addresses[0] for a in listed), f"{where}: {shown_addresses}")
            seen.append(where)
    require(seen, "no example configures vedetta")
    return f"{len(seen)} examples are accepted by vedetta check-config"


def run_check_config(binary: str, env: dict) -> subprocess.CompletedProcess:
    """The passwords are files of a Secret, which do not exist here; any file will do."""
    files = {name: str(ENTANDO) for name in env if name.endswith("_FILE")}
    return subprocess.run([binary, "check-config"], env={**env, **files}, capture_output=True, text=True)
