"""From a judged candidate to nodes: package, sign, deploy."""

from datetime import UTC, datetime
from typing import Final

from earshot_node.contract.deployment import MAX_SUMMARY_CHARS
from earshot_node.contract.manifest import MODEL_CARD_NAME, MODEL_NAME
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import load_bundle_unsigned, load_bundled
from earshot_trainer.catalogue.members import Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.catalogue.releases import Gate, Releases
from earshot_trainer.deploying.command import chosen_nodes, run_deploy
from earshot_trainer.deploying.deployment import DeployRequest
from earshot_trainer.deploying.registering import GateVerdict, register_release
from earshot_trainer.evaluate.presets import load_presets
from earshot_trainer.graph.command import INT8_NAME, REPORT_NAME
from earshot_trainer.home.folder import Home
from earshot_trainer.packaging.command import PackageRequest, build_manifest
from earshot_trainer.packaging.figures import QUANTIZATION, condense
from earshot_trainer.packaging.held_out import check_made_by
from earshot_trainer.packaging.markdown import table
from earshot_trainer.packaging.model_card import CardFacts, write_model_card
from earshot_trainer.packaging.reference import measure_references
from earshot_trainer.packaging.writer import seal, write_verified
from earshot_trainer.retraining.comparing_stages import CALIBRATION_NAME, PRESETS_NAME, gate_lines, show_gate
from earshot_trainer.retraining.gate import PART_TITLES, GateReport
from earshot_trainer.retraining.parts import active_bundle, base_of
from earshot_trainer.retraining.run_folder import RunFolder, runs_of
from earshot_trainer.retraining.stage import Stage
from earshot_trainer.retraining.versions import next_version
from earshot_trainer.training.run_record import load_run

CANDIDATE_NAME: Final = "candidate.earshot"
SIGNED_NAME: Final = "signed.earshot"
RELEASE_NAME: Final = "release.json"
_GATE_OF: Final[dict[str, Gate]] = {"promote": "passed", "shadow": "synthetic", "stop": "failed"}


def package(stage: Stage) -> None:
    """Make an unsigned bundle with the gate's figures in manifest and card.

    Raises:
        OperatorError: the gate stopped the candidate.
    """
    run, report = stage.run, show_gate(stage)
    if report.outcome == "stop":
        raise OperatorError(
            f"the gate stopped this candidate; to package it all the same: retrain --run {run.name} --force"
        )
    model, record, base = (run / INT8_NAME).read_bytes(), load_run(run.folder), base_of(run)
    check_made_by(model, record)
    quantization = run.read(REPORT_NAME, "quantize")
    version = next_version(known_versions(stage.home, run), datetime.now(UTC).date())
    request = PackageRequest(
        model=run / INT8_NAME,
        run=run.folder,
        presets=run / PRESETS_NAME,
        metrics=(),
        name=base.pin.name,
        version=version,
        out=run / CANDIDATE_NAME,
        parent=base.pin.version,
    )
    metrics = {
        "gate": report.model_dump(mode="json"),
        "calibration": run.read(CALIBRATION_NAME, "calibrate"),
        QUANTIZATION: condense(quantization),
    }
    manifest = build_manifest(model, record, load_presets(run / PRESETS_NAME), metrics, request)
    facts = CardFacts(record, "none", "unknown", frozenset(), {QUANTIZATION: quantization})
    references = measure_references(manifest, model)
    manifest = manifest.model_copy(update={"reference_clips": tuple(one.clip for one in references)})
    card = f"{write_model_card(manifest, model, facts)}\n{gate_section(report, base.pin.version)}"
    files = {MODEL_NAME: model, MODEL_CARD_NAME: card.encode()}
    for reference in references:
        files |= reference.files
    bundle, test = write_verified(seal(manifest, files), request.out)
    stage.read(f"{run / INT8_NAME}, {run / PRESETS_NAME} and what the gate said")
    stage.write(request.out, f"{bundle.manifest.version}, not signed, deviation {test.deviation:.2g} in its self-test")


def sign(stage: Stage) -> None:
    """Sign the bundle with the home's key and make it a release."""
    run, report = stage.run, show_gate(stage)
    bundle = load_bundle_unsigned(run / CANDIDATE_NAME)
    stage.read(f"{run / CANDIDATE_NAME}, key {stage.home.key_file}")
    write_verified(seal(bundle.manifest, bundle.files, stage.home.key), run / SIGNED_NAME, stage.home.key)
    verdict = GateVerdict(
        gate=_GATE_OF[report.judged],
        reason="; ".join(report.reasons) or "worse in nothing, better on the own held-out recordings",
        is_forced=report.forced,
    )
    releases = Releases(open_catalogue(stage.home.catalogue_url))
    release = register_release(stage.home, releases, run / SIGNED_NAME, summary=summary_of(report), verdict=verdict)
    stage.write(run / SIGNED_NAME, f"{release.version}, signed")
    values = {"version": release.version, "sha256": release.sha256, "forced": report.forced, "gate": report.outcome}
    stage.write(run.write(RELEASE_NAME, values))


def known_versions(home: Home, run: RunFolder) -> list[str]:
    """Return every version that this home knows: shipped, active, released, packaged by another run."""
    versions = [load_bundled().manifest.version, active_bundle(home, run).manifest.version]
    versions += [one.version for one in Releases(open_catalogue(home.catalogue_url)).all()]
    for other in runs_of(home.folder):
        if other.folder != run.folder and (other / CANDIDATE_NAME).exists():
            versions.append(load_bundle_unsigned(other / CANDIDATE_NAME).manifest.version)
    return versions


def summary_of(report: GateReport) -> str:
    """Return what is new in one line for people."""
    deciding = [figure for figure in report.figures if figure.decides]
    news = [f"hears {one.label}, {one.found} of {one.held_out} found" for one in report.new_labels]
    gained = "; ".join(
        [*news, *(f"{one.label}: {one.what} {one.active:.0%} -> {one.candidate:.0%}" for one in deciding)]
    )
    text = f"own recordings, {gained}" if gained else "retrained with the own recordings; not compared on any"
    return (f"forced past the gate; {text}" if report.forced else text)[:MAX_SUMMARY_CHARS]


def gate_section(report: GateReport, parent: str) -> str:
    """Return the model card's section about the comparison, Markdown."""
    rows = (
        (PART_TITLES[one.part], f"{one.label}: {one.what}", f"{one.active:.3g}", f"{one.candidate:.3g}", one.verdict)
        for one in report.figures
    )
    header = ("where", "figure", f"active, {report.active_version}", "this model", "")
    text = (
        f"Fine-tuned from model {parent} with a household's own recordings. Both models were heard by the node's own "
        "pipeline on the same recordings."
    )
    return "\n".join(["## Against the model before", "", text, "", *table(header, rows), "", *gate_lines(report), ""])


def deploy(stage: Stage) -> None:
    """Offer the release to the nodes: to decide if the gate let it pass, else to hear in the shadow."""
    run, report = stage.run, show_gate(stage)
    engine = open_catalogue(stage.home.catalogue_url)
    release = Releases(engine).chosen(str(run.read(RELEASE_NAME, "sign")["version"]))
    shadow = report.outcome == "shadow"
    words = f"trainer-cli deploy {release.version}{' --shadow' if shadow else ''}"
    if not run.request.deploy:
        stage.skipped = "not asked for"
        stage.note(f"not deployed, as asked; next: {words}")
        return
    if not Members(engine).chosen(run.request.nodes):
        stage.skipped = "no node has joined"
        stage.note(f"no node has joined: nothing to deploy to; then: {words}")
        return
    stage.read(f"release {release.version}")
    request = DeployRequest(
        release=release,
        nodes=chosen_nodes(engine, run.request.nodes, run.request.canary),
        mode="shadow" if shadow else "install",
        canary=run.request.canary,
        watch_s=run.request.watch_s,
        is_forced=report.forced,
    )
    stage.exit_code = run_deploy(stage.home, engine, request, as_json=False)
    stage.kept(f"offers of {release.version}{' for the shadow' if shadow else ''} to {', '.join(request.nodes)}")
    for one in report.new_labels:
        stage.note(f"a node with this model listens for {one.label} once `labels` in its configuration lists it")
