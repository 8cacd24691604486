"""A retraining round that is small enough for a test."""

from earshot_trainer.retraining.run_folder import RunRequest
from earshot_trainer.retraining.settings import load_settings

TINY = (
    "tuning.steps=4", "tuning.batch_size=4", "tuning.checkpoint_every_steps=2", "tuning.label_segments=2",
    "material.pool_sirens=2", "material.pool_traps=2", "material.pool_music=0", "material.pool_backgrounds=2",
    "material.scenes=4", "material.scene_minutes=1",
)  # fmt: skip


def request(**changes: object) -> RunRequest:
    """Such a round, with some of its fields changed."""
    return RunRequest(settings=load_settings(TINY)).model_copy(update=changes)
