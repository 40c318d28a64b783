"""A small cluster of podman's: a network with names, the pods of the examples, and a Prometheus that watches them.

Invariants: nothing leaves the network, which has no way out; all that is made here carries the number of this process in
its name or lies in it, and is removed whatever happens. Settings of podman that some machines forbid are modest.

Not here: what happens to it (scenario.py).
"""

import json
import os
import shlex
import tempfile
import time
from pathlib import Path

import yaml

import images
import pods
from alerts import groups
from found import DEPLOY, Finding, documents, kustomize, require
from images import podman

# The limits that deploy/try-image sets too.
SETTINGS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
APPS = ("app-0", "app-1")
SETS = ("redis", "sentinel")
SERVICE = "redis"
# Who lives where in the network. Names come from /etc/hosts: podman's own DNS forgets them for seconds whenever a
# container starts, and a Sentinel that waits for DNS does nothing for half a minute.
HOSTS = {name: 10 + i for i, name in enumerate([f"{kind}-{i}" for kind in SETS for i in range(3)] + list(APPS))}
PROMETHEUS = """global: {{scrape_interval: 2s, scrape_timeout: 1s, evaluation_interval: 2s}}
rule_files: [/etc/prometheus/rules.yaml]
scrape_configs:
  - job_name: vedetta
    static_configs:
{targets}
"""
# What the application does, all the time, under another user than vedetta's.
WORK = (Path(__file__).parent / "application.sh").read_text()


class Station:
    """Everything that runs."""

    def __init__(self, vedetta: str) -> None:
        self.vedetta = vedetta
        self.tag = f"vedetta-trial-{os.getpid()}"
        self.tools = f"localhost/{self.tag}"
        self.prometheus = f"{self.tag}-prometheus"
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name)
        self.volumes: list[str] = []
        self.network = f"10.89.{100 + os.getpid() % 100}"

    def __enter__(self) -> "Station":
        (self.folder / "containers.conf").write_text(SETTINGS)
        os.environ["CONTAINERS_CONF"] = str(self.folder / "containers.conf")
        try:
            subnet = f"{self.network}.0/24"
            podman("network", "create", "--internal", "--disable-dns", "--subnet", subnet, self.tag)
            images.build(self.tools, self.vedetta)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.remove()

    def remove(self) -> None:
        """Best effort, in the order in which it is possible."""
        for pod in self.made():
            podman("pod", "rm", "--force", "--time", "0", pod, tolerant=True)
        for volume in self.volumes:
            podman("volume", "rm", "--force", volume, tolerant=True)
        podman("rm", "--force", "--time", "0", self.prometheus, tolerant=True)
        podman("network", "rm", "--force", self.tag, tolerant=True)
        podman("rmi", "--force", self.tools, tolerant=True)
        self.scratch.cleanup()

    def made(self) -> list[str]:
        """The pods of this station, by its label."""
        return podman("pod", "ps", "--filter", f"label=station={self.tag}", "--format", "{{.Name}}").split()

    def run(self, name: str) -> None:
        podman("kube", "play", "--network", self.tag, "--ip", self.address(name), self.folder / f"{name}.yaml")

    def replace(self, *names: str) -> None:
        """Takes pods away with all that they had, and starts them anew, as after the loss of a node."""
        for name in names:
            podman("pod", "rm", "--force", "--time", "0", name)
            for volume in (volume for volume in self.volumes if volume.startswith(f"{name}-")):
                podman("volume", "rm", "--force", volume, tolerant=True)
        for name in names:
            self.run(name)

    def address(self, name: str) -> str:
        return f"{self.network}.{HOSTS[name]}"

    def play(self, pod: dict, others: list[dict]) -> None:
        """Starts a pod, with the ConfigMaps that it mounts."""
        name = pod["metadata"]["name"]
        pod["metadata"]["labels"] = {**pod["metadata"]["labels"], "station": self.tag}
        # Both become volumes of podman's, which it keeps.
        renamed = {thing["metadata"]["name"]: f"{name}-{self.tag}-{thing['metadata']['name']}" for thing in others}
        for volume in pod["spec"]["volumes"]:
            if "configMap" in volume:
                volume["configMap"]["name"] = renamed[volume["configMap"]["name"]]
            self.volumes.append(volume.get("configMap", volume)["name"])
        maps = [{**thing, "metadata": {"name": renamed[thing["metadata"]["name"]]}} for thing in others]
        pod["spec"]["hostAliases"] = [
            {"ip": self.address(other), "hostnames": pods.names(other, None if other in APPS else SERVICE)}
            for other in HOSTS
        ]
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump_all([*maps, pod]))
        self.run(name)

    def start_redis(self) -> None:
        """The example as it is in deploy/, with the image replaced."""
        objects = kustomize(DEPLOY / "examples/redis-sentinel")
        require(objects, "the scenario needs kubectl, for `kubectl kustomize`")
        self.secrets = pods.secret_texts(objects)
        maps = [thing for thing in objects if thing["kind"] == "ConfigMap"]
        for stateful_set in (thing for thing in objects if thing["kind"] == "StatefulSet"):
            names = {kind: self.tools for kind in SETS}
            for name, labels, spec in pods.replicas(stateful_set):
                self.play(pods.runnable(name, labels, spec, names, self.secrets), maps)

    def password(self, user: str) -> str:
        return next(iter(self.secrets.values()))[f"{user}_PASSWORD"]

    def start_applications(self) -> None:
        """Two of the example pod, the application being a shell under a user of its own."""
        example = documents((DEPLOY / "examples/app-with-sidecar.yaml").read_text())[0]
        password = self.password("VEDETTA")
        secret = {"redis-password": password, "sentinel-password": password}
        as_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vedetta"}, "data": secret}
        names = {"vedetta": self.vedetta, "app": self.tools}
        for name in APPS:
            pod = pods.runnable(name, example["metadata"]["labels"], example["spec"], names, {})
            application = next(c for c in pod["spec"]["containers"] if c["name"] == "app")
            application["command"] = ["sh", "-c", WORK]
            application["env"].append({"name": "POD", "value": name})
            application["securityContext"] |= {"runAsUser": 1001, "runAsGroup": 1001}
            self.play(pod, [as_map])

    def start_prometheus(self) -> None:
        """Debian's, with the rules of deploy/monitoring and the labels that a PodMonitor gives."""
        folder = self.folder / "prometheus"
        folder.mkdir(mode=0o755)
        target = "      - {{targets: ['{1}:17071'], labels: {{namespace: shop, pod: {0}, container: vedetta}}}}"
        targets = "\n".join(target.format(name, self.address(name)) for name in APPS)
        (folder / "prometheus.yml").write_text(PROMETHEUS.format(targets=targets))
        (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}))
        podman(
            *("run", "--detach", "--name", self.prometheus, "--network", self.tag),
            *("--volume", f"{folder}:/etc/prometheus:ro", self.tools, "prometheus"),
            *("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/tmp/prometheus"),
        )

    def ask(self, path: str, **parameters) -> dict:
        """An answer of Prometheus's API."""
        return self.ask_all([(path, parameters)])[0]

    def ask_all(self, questions: list[tuple[str, dict]]) -> list[dict]:
        """Many answers, for the price of one `podman exec`."""
        script = ""
        for path, parameters in questions:
            fields = [f"--data-urlencode {shlex.quote(f'{key}={value}')}" for key, value in parameters.items()]
            script += f"curl --silent --get {' '.join(fields)} http://127.0.0.1:9090/api/v1/{path}\necho\n"
        answers = podman("exec", "--interactive", self.prometheus, "sh", given=script).splitlines()
        require(len(answers) == len(questions), f"Prometheus answers {len(answers)} of {len(questions)} questions")
        parsed = [json.loads(answer) for answer in answers]
        for question, answer in zip(questions, parsed):
            require(answer["status"] == "success", f"Prometheus, {question}: {answer}")
        return [answer["data"] for answer in parsed]

    def metric(self, pod: str, name: str) -> float:
        """A value from the /metrics of a pod, as it is now."""
        answer = podman("exec", self.prometheus, "curl", "--silent", f"http://{self.address(pod)}:17071/metrics")
        found = [line for line in answer.splitlines() if line.startswith(f"{name} ")]
        require(found, f"no {name} in the /metrics of {pod}")
        return float(found[0].split()[1])

    def redis_cli(self, pod: str, *command: str, port: int = 6379) -> str:
        """A command as the user for probes, inside the pod of a Redis or a Sentinel."""
        login = "REDISCLI_AUTH=$PROBE_PASSWORD redis-cli --no-auth-warning --user probe"
        shell = f"{login} -p {port} --raw {' '.join(command)}"
        return podman("exec", f"{pod}-{pod.rsplit('-', 1)[0]}", "sh", "-c", shell)

    def client(self, pod: str, *command: str) -> str:
        """vedetta's client in the container of the application."""
        return podman("exec", f"{pod}-app", "vedetta", *command)

    def process(self, container: str) -> int:
        """The process of a container, as this machine numbers it."""
        return int(podman("inspect", "--format", "{{.State.Pid}}", container))


def until(what: str, holds, patience: float = 60.0):
    """Waits until something is true, and answers with it."""
    end = time.monotonic() + patience
    last: object = None
    while time.monotonic() < end:
        try:
            last = holds()
        except Finding as finding:
            last = finding
        if last and not isinstance(last, Finding):
            return last
        time.sleep(0.25)
    raise Finding(f"{what}: not within {patience:.0f} s; last: {last}")
