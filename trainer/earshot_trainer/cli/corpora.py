"""`trainer-cli corpora`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

if TYPE_CHECKING:
    from earshot_trainer.catalogue.corpora import Corpora

EXAMPLE = """\b
Examples:
  trainer-cli corpora add us8k ~/UrbanSound8K
  trainer-cli corpora add esc50 ~/ESC-50
  trainer-cli corpora add mine ~/sounds --manifest ~/sounds/manifest.csv
  trainer-cli corpora compose /usr/share/sounds/sf2/FluidR3_GM.sf2 --out ~/music
  trainer-cli corpora gather ~/games/music --out ~/sounds --teacher ~/models/yamnet.tflite
  trainer-cli corpora list
  trainer-cli corpora remove mine
"""


out_option = click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for audio and manifest.csv."
)


@click.group("corpora", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.pass_context
def command(context: click.Context, home: Path | None) -> None:
    """Name folders of audio that retraining learns from beside the household's own recordings."""
    context.obj = home


@command.command(
    "add", epilog="\b\nExample:\n  trainer-cli corpora add us8k ~/UrbanSound8K\n", context_settings=HELP_NAMES
)
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--manifest", type=click.Path(path_type=Path, dir_okay=False), help="Its table; default: found in PATH.")
@click.pass_obj
def add(home: Path | None, name: str, path: Path, manifest: Path | None) -> None:
    """Register the corpus at PATH as NAME. Nothing is copied: the folder has to stay where it is.

    PATH holds a manifest.csv (columns path, label; optional is_siren, kind, source, orig, licence, fsid, fold, dur,
    note), or UrbanSound8K (metadata/UrbanSound8K.csv) or ESC-50 (meta/esc50.csv) as downloaded.
    """
    from earshot_node.contract.names import validate_slug
    from earshot_trainer.corpus.registered import is_non_commercial, register

    try:
        validate_slug(name)
    except ValueError as error:
        raise click.UsageError(f"NAME: {error}") from error
    corpus, found = register(_corpora(home), name, path, manifest)
    sirens = sum(one.is_siren for one in found.recordings)
    groups = len({one.group for one in found.recordings})
    click.echo(
        f"read {corpus.manifest} ({corpus.layout}): {corpus.recordings} recordings, {corpus.duration_s / 3600:.1f} h"
    )
    click.echo(f"{sirens} with a siren, {corpus.recordings - sirens} background, from {groups} original recordings")
    if found.missing:
        click.echo(f"{found.missing} listed files are not there and are left out", err=True)
    click.echo(f"licences: {corpus.licences}")
    if is_non_commercial(found.recordings):
        click.echo("a model that learns from it is not for commercial use, or not without asking")
    click.echo(f"registered as {name}; next: trainer-cli retrain")


@command.command(
    "compose",
    epilog="\b\nExample:\n  trainer-cli corpora compose /usr/share/sounds/sf2/FluidR3_GM.sf2 --out ~/music\n",
    context_settings=HELP_NAMES,
)
@click.argument("soundfont", type=click.Path(path_type=Path))
@out_option
@click.option("--pieces", type=click.IntRange(min=1), default=600, show_default=True, help="How many.")
@click.option(
    "--seconds", type=click.FloatRange(min=1.0, max=600.0), default=20.0, show_default=True, help="Length of each."
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Another one: other pieces.")
@click.option("--licence", default="", help="The SoundFont's, for the manifest and a model's card.")
def compose(soundfont: Path, out: Path, pieces: int, seconds: float, seed: int, licence: str) -> None:
    """Write music played by the instruments of SOUNDFONT (.sf2, .sf3) as a corpus without sirens.

    Held notes, slides, melodies, chords and drums, drawn at random: what a network takes for a siren before it has
    heard enough of it. Debian has SoundFonts, such as the packages fluid-soundfont-gm (MIT),
    musescore-general-soundfont (MIT) and opl3-soundfont (CC BY-SA 4.0).
    """
    from rich.console import Console
    from rich.progress import Progress

    from earshot_trainer.music.corpus_folder import MusicOrder, write_music

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("composing", total=pieces)
        manifest = write_music(
            soundfont, out, MusicOrder(pieces, seconds, seed, licence), lambda done: progress.advance(task, done)
        )
    click.echo(f"wrote {pieces} pieces, {pieces * seconds / 3600:.1f} h, and {manifest}")
    click.echo(f"next: trainer-cli corpora add {out.name} {out}, or trainer-cli train --data {manifest}")


@command.command(
    "gather",
    epilog="\b\nExample:\n  trainer-cli corpora gather ~/games/music --out ~/sounds --teacher ~/models/yamnet.tflite\n",
    context_settings=HELP_NAMES,
)
@click.argument("folder", type=click.Path(path_type=Path))
@out_option
@click.option("--name", help="Whose sounds they are, as the manifest says; the name of --out if not given.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1.0, max=600.0),
    default=60.0,
    show_default=True,
    help="At most, from the middle of each file.",
)
@click.option(
    "--teacher",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAMNet's TFLite file: what it takes for a siren is left out.",
)
@click.option("--licence", default="", help="The sounds', for the manifest and a model's card.")
def gather(folder: Path, out: Path, name: str | None, seconds: float, teacher: Path | None, licence: str) -> None:
    """Write copies of the audio files below FOLDER, which hold no siren, as a corpus.

    A game's music and effects, a collection of records: variety is what keeps a model quiet. Files that cannot be read,
    are silent or are there twice are left out, and so are those that may be sirens, by their names or as the teacher
    hears them: look at the notes in the manifest.
    """
    from rich.console import Console
    from rich.progress import Progress

    from earshot_trainer.corpus.gathering import GatherOrder, sound_files
    from earshot_trainer.corpus.gathering import gather as gather_sounds
    from earshot_trainer.training.teacher import Teacher

    listener = Teacher(teacher) if teacher is not None else None
    order = GatherOrder(name or out.absolute().name, licence, seconds)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("gathering", total=len(sound_files(folder)))
        gathered = gather_sounds(folder, out, order, listener, lambda done: progress.advance(task, done))
    for reason, count in sorted(gathered.left_out.items()):
        click.echo(f"left out: {count} {reason}")
    click.echo(f"wrote {gathered.taken} sounds, {gathered.duration_s / 3600:.2f} h, and {gathered.manifest}")
    if listener is None:
        click.echo("nothing listened for sirens: see that none is among them, or give --teacher", err=True)
    click.echo(
        f"next: trainer-cli corpora add {out.absolute().name} {out}, or trainer-cli train --data {gathered.manifest}"
    )


@command.command("list", epilog="\b\nExample:\n  trainer-cli corpora list\n", context_settings=HELP_NAMES)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(home: Path | None, as_json: bool) -> int:
    """Show what is registered, and whether it is still there. Exit code 3: one is not."""
    from earshot_trainer.corpus.listing import show_corpora

    return show_corpora(_corpora(home), as_json=as_json)


@command.command("remove", epilog="\b\nExample:\n  trainer-cli corpora remove mine\n", context_settings=HELP_NAMES)
@click.argument("name")
@click.pass_obj
def remove(home: Path | None, name: str) -> None:
    """Forget NAME. Its files stay where they are."""
    _corpora(home).remove(name)
    click.echo(f"removed {name}; its files are where they were")


def _corpora(home: Path | None) -> "Corpora":
    from earshot_trainer.catalogue.corpora import Corpora
    from earshot_trainer.catalogue.opening import open_catalogue
    from earshot_trainer.home.folder import open_home

    return Corpora(open_catalogue(open_home(home).catalogue_url))
