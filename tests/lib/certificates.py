"""Certificates that are wrong on purpose."""
import os
import subprocess


def expire(authority, certificate, key, name, use, alternative=None):
    """Writes a certificate for the key that is right in all but its dates: it was valid in January 2024."""
    folder = os.path.dirname(certificate)
    request = subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}"], stdout=subprocess.PIPE,
                             check=True).stdout
    extensions, database, configuration = (f"{folder}/expired.{part}" for part in ("ext", "index", "cnf"))
    with open(extensions, "w", encoding="utf-8") as file:
        file.write(f"extendedKeyUsage={use}\n" + (f"subjectAltName={alternative}\n" if alternative else ""))
    with open(configuration, "w", encoding="utf-8") as file:
        file.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={database}\nserial={folder}/expired.serial\n"
                   f"new_certs_dir={folder}\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n")
    with open(database, "w", encoding="utf-8"), open(f"{folder}/expired.serial", "w", encoding="utf-8") as serial:
        serial.write("F00D\n")
    subprocess.run(["openssl", "ca", "-batch", "-notext", "-config", configuration, "-cert", authority.certificate,
                    "-keyfile", authority.key, "-in", "/dev/stdin", "-out", certificate, "-startdate",
                    "20240101000000Z", "-enddate", "20240201000000Z", "-extfile", extensions],
                   input=request, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    os.chmod(certificate, 0o644)
