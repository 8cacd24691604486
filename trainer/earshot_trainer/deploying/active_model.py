"""The model that nodes run, as far as the trainer knows: whose view is shown, and what a candidate has to beat.

A release that nobody installed is not it, nor one that went back or was to go back; a shadow release that was forced on
nodes is, and one that nodes went back from and then forward to again.
"""

from pathlib import Path

from sqlalchemy import Engine

from earshot_node.errors import BundleError
from earshot_node.inference.bundle import Bundle, load_bundle, load_bundle_unsigned, load_bundled
from earshot_trainer.catalogue.releases import Releases
from earshot_trainer.deploying.registering import bundle_path
from earshot_trainer.home.folder import Home


def model_here(home: Home, engine: Engine, asked: Path | None = None) -> Bundle:
    """Return the bundle that was asked for, else the one that nodes installed last, else the bundled one.

    Raises:
        BundleError: the one that was asked for cannot be used.
    """
    if asked is not None:
        return load_bundle_unsigned(asked)
    releases = Releases(engine)
    installed = [one for one in releases.offers() if one.outcome in ("installed", "kept") and not one.withdrawn]
    for offer in sorted(installed, key=lambda one: one.offered, reverse=True):
        path = bundle_path(home, offer.sha256)
        try:
            return load_bundle(path, trusted_keys=[home.public_key])
        except BundleError:
            continue  # an older release was cleared away
    return load_bundled()
