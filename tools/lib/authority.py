"""A certificate authority for each region, by the openssl command: P-256, with the uses spelt out in each certificate."""
import os
import shutil
import tempfile

from processes import give, run

SERVER, CLIENT = "serverAuth", "clientAuth"


class Authority:
    def __init__(self, directory, region):
        self.region = region
        self.key = os.path.join(directory, "ca.key")
        self.certificate = os.path.join(directory, "ca.crt")
        os.makedirs(directory, mode=0o755, exist_ok=True)

    def create(self):
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "3650", "-subj", f"/O=domicile sandbox/CN={self.region} authority",
             "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
             "-keyout", self.key, "-out", self.certificate])
        os.chmod(self.key, 0o600)

    def copy(self, target):
        """The certificate, for everybody to read."""
        shutil.copyfile(self.certificate, target)
        os.chmod(target, 0o644)

    def issue(self, name, use, certificate, key, alternative=None, for_account=True):
        """A certificate for CN=name; `alternative` is its subjectAltName ("IP:127.0.0.1,DNS:..."). The key file is
        0600 and belongs to the servers' account, or to whoever runs this (for_account=False)."""
        extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature",
                      f"extendedKeyUsage={use}", "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
        if alternative:
            extensions.append(f"subjectAltName={alternative}")
        request = run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                       "-subj", f"/O=domicile sandbox/OU={self.region}/CN={name}", "-keyout", key])
        with tempfile.NamedTemporaryFile("w", suffix=".ext") as file:
            file.write("\n".join(extensions) + "\n")
            file.flush()
            run(["openssl", "x509", "-req", "-CA", self.certificate, "-CAkey", self.key, "-days", "825",
                 "-extfile", file.name, "-out", certificate], input=request)
        os.chmod(certificate, 0o644)
        os.chmod(key, 0o600)
        if for_account:
            give(key, 0o600)
