"""Every object in deploy/ against the schemas of Kubernetes, the oldest supported version to the newest.

Invariants: an unknown kind is a finding unless it is listed here; a file that is nobody's is one too, so nothing is
left out by accident.

Not here: what schemas do not see, such as a mount without a volume (wiring.py).
"""

import kubernetes_validate

from found import DEPLOY, Finding, documents, kustomize, require, shown

# Native sidecars are on since 1.29; between them the versions that people run.
VERSIONS = ("1.29", "1.33", "1.37")

# Kinds of operators, whose schemas are not Kubernetes's.
FOREIGN = {
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("kustomize.config.k8s.io/v1beta1", "Kustomization"),
}


def is_object(path) -> bool:
    """Whether the file holds whole objects: neither a patch nor the cases of promtool."""
    return not path.name.endswith(".patch.yaml") and "tests" not in path.parts[len(DEPLOY.parts) :]


def objects() -> list[tuple[str, dict]]:
    """Each object with the place it comes from: files as they are, and what kustomize makes of them."""
    found = []
    for path in sorted(DEPLOY.rglob("*.yaml")):
        if is_object(path):
            found += [(shown(path), document) for document in documents(path.read_text())]
    for path in sorted(DEPLOY.rglob("kustomization.yaml")):
        built = kustomize(path.parent)
        found += [(f"{shown(path.parent)} (built)", document) for document in built or []]
    return found


def validate(where: str, document: dict) -> bool:
    """Whether the schema knows the kind; raises what it has against it."""
    for field in ("apiVersion", "kind"):
        require(field in document, f"{where}: an object without {field}")
    kind = (document["apiVersion"], document["kind"])
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            require(kind in FOREIGN, f"{where}: Kubernetes {version} knows no {kind[1]} of {kind[0]}")
            return False
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(step) for step in error.path)
            name = document.get("metadata", {}).get("name")
            raise Finding(f"{where}: {kind[1]} {name} at {place}, Kubernetes {version}: {error.message}") from error
    return True


def check_the_check() -> None:
    """A validator that accepts everything would go unnoticed."""
    wrong = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containres": []}}
    unknown = {"apiVersion": "example.com/v1", "kind": "Thing"}
    for document in (wrong, unknown):
        try:
            validate("the check itself", document)
        except Finding:
            continue
        raise Finding(f"the schemas accept {document}")


def check() -> str:
    check_the_check()
    known = [validate(where, document) for where, document in objects()]
    return f"{sum(known)} objects at {', '.join(VERSIONS)}; {len(known) - sum(known)} of operators"
