"""What is done with policies before they are in force: tested, explained, built, signed and put in place."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runtime.bundle import ALGORITHM, build_bundle, stage
from runtime.errors import Invalid, Precondition
from runtime.files import read_stream, read_text
from runtime.issuers import claims
from runtime.programs import Ended, run
from stack.acquire import path as acquired
from stack.context import StackContext
from stack.identity.signing import signers
from stack.issuers import issuers
from stack.parts.opa import POLICIES, bundle, bundle_keys
from stack.settings import load_settings

_HEAD = re.compile(r"^(?:default )?([a-z]\w*)")
EVAL_SECONDS = 60
# Tests of what people write into the tables.
TABLES_TEST = "test_the_tables"
# A busy machine is no reason to call policies wrong.
PATIENT = ("--timeout", "120s")


def _opa(*arguments: str) -> Ended:
    command = [str(acquired("opa", load_settings())), *arguments]
    return run(command, seconds=EVAL_SECONDS)


@contextmanager
def staged(policies: Path) -> Iterator[Path]:
    """The policies with their tests and tables, laid out as an engine has them."""
    if not (policies / "authz").is_dir() or not (policies / "data").is_dir():
        raise Invalid(
            f"{policies} holds no policies: it needs authz/ and data/", reason="NO_POLICIES", field="policies"
        )
    with tempfile.TemporaryDirectory(prefix="orbital-policies-") as scratch:
        content = Path(scratch) / "content"
        stage(policies, content, {}, {}, tests=True)
        (content / ".manifest").unlink()
        if (policies / "system" / "authz").is_dir():
            shutil.copytree(policies / "system" / "authz", content / "system" / "authz")
        yield content


def run_tests(policies: Path) -> str:
    """What OPA says of the tests; raises Precondition when one of them fails or they do not compile."""
    with staged(policies) as content:
        done = _opa("check", "--strict", str(content))
        if done.status == 0:
            done = _opa("test", *PATIENT, "--run", TABLES_TEST, str(content))
        if done.status == 0:
            # The rules' tests speak of tenants and times of their own, which no restraint of ours may touch.
            _without_restraint(content)
            done = _opa("test", *PATIENT, str(content))
    said = (done.out + done.err).strip()
    if done.status:
        raise Precondition(f"The policies' own tests fail:\n{said}", reason="POLICY_TESTS_FAIL", field="policies")
    return said


def _without_restraint(content: Path) -> None:
    for table, field, none in (("residency", "tenants", {}), ("freezes", "windows", [])):
        path = content / "orbital" / table / "data.yaml"
        path.write_text(json.dumps({**yaml.safe_load(read_text(path)), field: none}))


@dataclass(frozen=True)
class Explanation:
    """A decision, and the rules that were true on the way to it, as FILE:LINE NAME."""

    decision: Any
    rules: list[str]


def explain(policies: Path, policy: str, question: Mapping[str, Any], labels: Mapping[str, str]) -> Explanation:
    """What `orbital.authz.<policy>` answers to the question, asked of an engine with these labels."""
    rule = "decision" if policy == "ingress" else "decisions"
    runtime = json.dumps({"config": {"labels": dict(labels)}})
    query = f"x := data.orbital.authz.{policy}.{rule} with opa.runtime as {runtime}"
    with staged(policies) as content:
        for test in content.rglob("*_test.rego"):
            test.unlink()
        asked = content.parent / "input.json"
        asked.write_text(json.dumps(question))
        options = ("--data", str(content), "--input", str(asked), "--coverage", "--format", "json")
        done = _opa("eval", *options, query)
        answer = json.loads(done.out or "{}")
        if done.status or "errors" in answer:
            raise Invalid(f"The policy cannot be asked: {done.err or answer.get('errors')}", field="policy")
        results = answer.get("result") or []
        decision = results[0]["bindings"]["x"] if results else None
        return Explanation(decision, list(_rules(content, answer.get("coverage", {}).get("files", {}))))


def _rules(content: Path, files: Mapping[str, Any]) -> Iterator[str]:
    """The rules whose heads were reached with everything before them true."""
    for name, covered in sorted(files.items()):
        rows = {
            row for part in covered.get("covered", ()) for row in range(part["start"]["row"], part["end"]["row"] + 1)
        }
        # OPA leaves the first slash out.
        path = Path("/", name)
        for number, line in enumerate(read_text(path).splitlines(), 1):
            head = _HEAD.match(line)
            if head and number in rows and head.group(1) not in ("package", "import"):
                yield f"{path.resolve().relative_to(content.resolve())}:{number} {head.group(1)}"


def install(context: StackContext, source: Path) -> str:
    """Put a directory of policies, or a bundle that our key signed, in force; returns its revision.

    Raises Precondition when the tests fail or the signature is another's; nothing has changed then.
    """
    if source.is_file():
        return _install_bundle(context, source)
    run_tests(source)
    known = claims(issuers(context))
    build_bundle(context.binary("opa"), source, bundle_keys(context), bundle(context), signers(context), known)
    _remember(context, source)
    return revision(bundle(context))


def _remember(context: StackContext, source: Path) -> None:
    """Keep what was pushed, so that a rotated signing key is put into these policies and no others."""
    pushed = context.layout.part("gateway") / "policies"
    shutil.rmtree(pushed, ignore_errors=True)
    if source.resolve() != POLICIES.resolve():
        shutil.copytree(source, pushed)


def _install_bundle(context: StackContext, source: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="orbital-bundle-") as scratch:
        key = bundle_keys(context) / "bundle.pub"
        checked = _opa(
            *("build", "--bundle", str(source), "--output", str(Path(scratch) / "checked.tar.gz")),
            *("--verification-key", str(key), "--signing-alg", ALGORITHM),
            *("--signing-key", str(bundle_keys(context) / "bundle.key")),
        )
    if checked.status:
        said = (checked.err or checked.out).strip()
        raise Precondition(f"The bundle is not signed by our key: {said}", reason="BUNDLE_NOT_OURS", field="bundle")
    beside = bundle(context).with_name(".pushed.new")
    shutil.copyfile(source, beside)
    beside.replace(bundle(context))
    return revision(bundle(context))


def revision(packed: Path) -> str:
    """The revision that a bundle says it is."""
    import tarfile

    with tarfile.open(packed) as archive:
        manifest = archive.extractfile("/.manifest")
        return str(json.loads(read_stream(manifest, "/.manifest")).get("revision", "")) if manifest else ""
