"""The commands of `atomic host`: arguments, one call each, and what is printed. Data goes to stdout, talk to stderr."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any, Optional

from . import audit, changes, drivers, reset, source, status, trial, upgrade
from .deployments import Deployment, load
from .errors import FAILED, STALE, HostError
from .layout import Layout
from .lock import Lock
from .programs import run

EXIT_CODES = """\
exit codes: 0 done, or nothing to do; 1 failed; 2 usage; 3 no update source; 4 refused by a check (signature, plan, age, ref); 5 no room; 6 network;
7 held back, since the version failed before; 75 no update found for longer than --stale-after days
"""


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the whole command line."""
    top = argparse.ArgumentParser(prog="atomic", description="Looks after an atomic host: its tree, updates and rollbacks.")
    host = top.add_subparsers(dest="area", required=True, metavar="host").add_parser("host", help="the host's tree", epilog=EXIT_CODES)
    commands = host.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EXIT_CODES)
        made.add_argument("--json", action="store_true", help="print one JSON object")
        return made

    command("status", "show the deployments: version, commit, signature, age, what failed and why")
    one = command("upgrade", "stage the newest release that is meant for this host")
    one.add_argument("--check", action="store_true", help="only say whether there is one")
    one.add_argument("--reboot", action="store_true", help="reboot into it")
    one.add_argument("--retry", action="store_true", help="try a version again that failed on this host")
    one.add_argument("--stale-after", type=int, metavar="DAYS", help="exit with 75 when no update was found for so long (update.conf; 30)")
    one.add_argument("--automatic", action="store_true", help=argparse.SUPPRESS)
    one = command("rollback", "make the deployment before this one the default")
    one.add_argument("--reboot", action="store_true", help="reboot into it")
    one = command("deploy", "stage a version or commit by name, also an older one")
    one.add_argument("name", metavar="COMMIT|VERSION")
    one.add_argument("--reboot", action="store_true", help="reboot into it")
    one = command("rebase", "follow another ref of the same remote, from its newest commit on")
    one.add_argument("ref", metavar="REF")
    one = command("pin", "keep a deployment whatever is deployed later")
    one.add_argument("index", nargs="?", type=int, metavar="N", help="its place in `status`, from 0 (the running one)")
    one = command("unpin", "let a pinned deployment go when its turn comes")
    one.add_argument("index", nargs="?", type=int, metavar="N", help="its place in `status`, from 0 (the running one)")
    one = command("unlock", "make /usr writable until the next boot")
    kinds = one.add_mutually_exclusive_group()
    kinds.add_argument("--hotfix", action="store_true", help="keep the changes until the next deployment")
    kinds.add_argument("--transient", action="store_true", help="a layer that programs can make writable in their own mount namespace")
    one = command("diff", "compare the running tree with the staged one, else with the rollback")
    one.add_argument("name", nargs="?", metavar="N|COMMIT|VERSION")
    command("audit", "check what the image promises of the host's security; exit code 1 if anything does not hold")
    one = command("reset", "start afresh: the same tree with empty /var and the tree's own /etc, at the next boot")
    one.add_argument("--remove", metavar="STATEROOT", help="remove a stateroot that does not run, with its /var")
    return top


def main(words: list[str]) -> int:
    """Runs a command line; returns the exit code."""
    arguments = parser().parse_args(words)
    layout = Layout.of_host()
    try:
        if os.geteuid() != 0 and arguments.command not in ("status", "diff"):
            raise HostError(f"atomic host {arguments.command} needs root", hint=f"sudo atomic host {arguments.command}")
        if arguments.command in ("status", "diff", "audit"):
            return act(layout, arguments)
        with Lock(layout):
            return act(layout, arguments)
    except HostError as error:
        return tell_error(error, arguments.json)
    except OSError as error:
        return tell_error(HostError(f"{error.filename or 'the system'}: {error.strerror}"), arguments.json)
    except KeyboardInterrupt:
        return 130


def act(layout: Layout, arguments: argparse.Namespace) -> int:
    """Runs the command that was named."""
    actions = {
        "status": on_status, "upgrade": on_upgrade, "rollback": on_rollback, "deploy": on_deploy, "rebase": on_rebase, "pin": on_pin,
        "unpin": on_pin, "unlock": on_unlock, "diff": on_diff, "reset": on_reset, "audit": on_audit,
    }
    return actions[arguments.command](layout, arguments)


def on_status(layout: Layout, arguments: argparse.Namespace) -> int:
    found = status.collect(layout, int(time.time()))
    print(json.dumps(found, indent=1, sort_keys=True) if arguments.json else status.text(found), end="\n" if arguments.json else "")
    return 0


def on_upgrade(layout: Layout, arguments: argparse.Namespace) -> int:
    running = status.require_booted(layout)
    driver = drivers.driver(layout, running)
    if driver != "ostree":
        return done(arguments, {"driver": driver, "said": drivers.upgrade(driver, arguments.check)}, "the upgrade is done", arguments.reboot)
    settings = source.settings(layout)
    result = upgrade.upgrade(layout, source.load(layout), arguments.check, arguments.retry, arguments.automatic)
    fields: dict[str, Any] = {"driver": "ostree", "waiting": result.waiting, "staged": result.staged, "removed": list(result.removed)}
    if result.commit is not None:
        fields.update(version=result.commit.version, commit=result.commit.id)
        name = result.commit.version or result.commit.id
        sentence = f"version {name} is there for this host" if arguments.check else f"version {name} is staged and runs after the next boot"
        return done(arguments, fields, sentence, arguments.reboot and result.staged)
    done(arguments, fields, f"no update: {result.waiting}" if result.waiting else f"no update: {running.name} is the newest version for this host", False)
    days = settings.stale_after_days if arguments.stale_after is None else arguments.stale_after
    made = status.row(layout, running, int(time.time()))["age_seconds"]
    if made is not None and days > 0 and made > days * 86400:
        print(f"atomic host: warning: no update was found since this tree was made {made // 86400} days ago, more than {days}", file=sys.stderr)
        return STALE
    return 0


def on_rollback(layout: Layout, arguments: argparse.Namespace) -> int:
    deployments = load(layout)
    running = status.require_booted(layout)
    driver = drivers.driver(layout, running)
    if driver != "ostree":
        return done(arguments, {"driver": driver, "said": drivers.rollback(driver)}, "rolled back", arguments.reboot)
    staged = next((d for d in deployments if d.staged), None)
    if staged is not None:
        run(layout.admin("undeploy", str(staged.index)))
        trial.record_failure(layout, staged, "it was staged and rolled back before it ran", "rolled-back")
        return done(arguments, {"driver": driver, "version": running.name}, f"{staged.name} is not staged any more; {running.name} stays", False)
    target = rollback_target(deployments, running)
    run(layout.admin("set-default", str(target.index)))
    if running.index < target.index:
        trial.record_failure(layout, running, "a person went back from it", "rolled-back")
    return done(arguments, {"driver": driver, "version": target.name, "commit": target.commit}, f"{target.name} runs after the next boot", arguments.reboot)


def rollback_target(deployments: list[Deployment], running: Deployment) -> Deployment:
    """Returns what a rollback goes to: the running tree if another one is the default, else the next tree of another commit, else the next one."""
    if running.index != 0:
        return running
    others = [d for d in deployments if not d.booted]
    if not others:
        raise HostError(f"{running.name} is the only deployment: there is nothing to roll back to")
    return next((d for d in others if d.commit != running.commit), others[0])


def on_deploy(layout: Layout, arguments: argparse.Namespace) -> int:
    result = upgrade.deploy_named(layout, source.load(layout), arguments.name)
    name = result.commit.version or result.commit.id if result.commit else ""
    return done(arguments, {"version": name}, result.waiting or f"{name} is staged and runs after the next boot", arguments.reboot)


def on_rebase(layout: Layout, arguments: argparse.Namespace) -> int:
    result = upgrade.rebase(layout, source.load(layout), arguments.ref)
    name = result.commit.version or result.commit.id if result.commit else ""
    return done(arguments, {"version": name, "ref": arguments.ref}, f"{name} of {arguments.ref} is staged and runs after the next boot", False)


def on_pin(layout: Layout, arguments: argparse.Namespace) -> int:
    deployments = load(layout)
    index = status.require_booted(layout).index if arguments.index is None else arguments.index
    if not 0 <= index < len(deployments):
        raise HostError(f"there is no deployment {index}: expected 0 to {len(deployments) - 1}")
    run(layout.admin("pin", *(["--unpin"] if arguments.command == "unpin" else []), str(index)))
    return done(arguments, {"index": index}, f"{deployments[index].name} is {arguments.command}ned", False)


def on_unlock(layout: Layout, arguments: argparse.Namespace) -> int:
    words = ["--hotfix"] if arguments.hotfix else ["--transient"] if arguments.transient else []
    run(layout.admin("unlock", *words))
    return done(arguments, {}, "/usr is writable", False)


def on_diff(layout: Layout, arguments: argparse.Namespace) -> int:
    found = changes.collect(layout, arguments.name)
    print(json.dumps(found, indent=1, sort_keys=True) if arguments.json else changes.text(found), end="\n" if arguments.json else "")
    return 0


def on_audit(layout: Layout, arguments: argparse.Namespace) -> int:
    found = audit.collect(layout)
    print(json.dumps(found, indent=1, sort_keys=True) if arguments.json else audit.text(found), end="\n" if arguments.json else "")
    return FAILED if found["failed"] else 0


def on_reset(layout: Layout, arguments: argparse.Namespace) -> int:
    if arguments.remove:
        reset.remove(layout, arguments.remove)
        return done(arguments, {"removed": arguments.remove}, f"stateroot {arguments.remove} is removed", False)
    name = reset.reset(layout)
    sentence = f"the next boot has fresh /var and /etc in stateroot {name}; to keep what is there now: atomic host rollback"
    return done(arguments, {"stateroot": name}, sentence, False)


def done(arguments: argparse.Namespace, fields: dict[str, Any], sentence: str, reboot: bool) -> int:
    """Says what was done, and reboots if that was asked for."""
    if arguments.json:
        print(json.dumps({"schema": status.SCHEMA, "command": arguments.command, "message": sentence, **fields}, sort_keys=True))
    else:
        print(f"{sentence[0].upper()}{sentence[1:]}.")
    if reboot:
        run(["systemctl", "reboot"])
    return 0


def tell_error(error: HostError, as_json: bool) -> int:
    """Prints an error: one object with --json, else a sentence and what can be done. Returns its exit code."""
    if as_json:
        fields: dict[str, Optional[object]] = {"message": error.message, "exit_code": error.code, "check": error.check or None, "hint": error.hint or None}
        print(json.dumps({"schema": status.SCHEMA, "error": fields}, sort_keys=True), file=sys.stderr)
    else:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
    return error.code or FAILED
