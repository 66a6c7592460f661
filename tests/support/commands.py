"""The command table as `mesh help --json` tells it: tests that must hold for every command loop over it."""
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def table():
    done = subprocess.run([ROOT / "build/mesh", "help", "--json"], capture_output=True, text=True, check=True, timeout=20)
    return json.loads(done.stdout)["commands"]


def unconfirmed():
    """(command, its words) of each dangerous command: an example that would act, without its --yes."""
    for command in table():
        if command["dangerous"]:
            line = next(e for e in command["examples"] if "--yes" in e)
            yield command["name"], [word for word in line.replace('"', "").split() if word != "--yes"]
