"""The names of the rules that the shipped policy declares."""
import re
from pathlib import Path


def rule_names(config):
    text = "\n".join(path.read_text() for path in sorted(Path(config, "policies").glob("*.cfg")))
    return set(re.findall(r'name\s*=\s*"([a-z0-9-]+)"', text))
