"""The variants by name: the network as it is, and with one part exchanged at about as many weights."""

from dataclasses import dataclass

from earshot_trainer.ablations.enhancements import SpectralSubtraction
from earshot_trainer.ablations.front_ends import LogFrequency, MeanSubtraction, Pcen
from earshot_trainer.ablations.memories import CausalAttention, DilatedConvolutions, Lstm
from earshot_trainer.ablations.network import AblatedCrnn, Build
from earshot_trainer.network.model import StreamingCrnn

BASE = "base"
"""The variant that the others are compared with."""


@dataclass(frozen=True)
class Variant:
    """A network to compare.

    Attributes:
        title: what it is, for people.
        build: makes it of a model's configuration.
        settings: `model.key=value` texts for the recipe, sizes that give it about as many weights as siren-own.yaml's.
    """

    name: str
    title: str
    build: Build
    settings: tuple[str, ...] = ()


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant(BASE, "GRU and wavelets (as it is)", StreamingCrnn),
        Variant(
            "wide",
            "wider: convolutions and GRU",
            StreamingCrnn,
            ("model.channels=[24, 48, 96, 128]", "model.embedding=128", "model.hidden=160"),
        ),
        Variant("lstm", "LSTM", AblatedCrnn.with_memory(Lstm), ("model.hidden=96",)),
        Variant(
            "attention",
            "causal attention, two layers, 3 s back each",
            AblatedCrnn.with_memory(CausalAttention),
            ("model.hidden=64",),
        ),
        Variant(
            "dilated-convolutions",
            "no recurrence: dilated convolutions over 3 s",
            AblatedCrnn.with_memory(DilatedConvolutions),
            ("model.embedding=96", "model.hidden=96"),
        ),
        Variant("pcen", "PCEN instead of the normalized logarithm", AblatedCrnn.with_front_end(Pcen)),
        Variant("log-frequency", "logarithmic frequency instead of mel", AblatedCrnn.with_front_end(LogFrequency)),
        Variant(
            "mean-subtraction",
            "a third channel: the frame less its mean of the last 3 s",
            AblatedCrnn.with_front_end(MeanSubtraction),
        ),
        Variant(
            "no-wavelets",
            "no branch of Haar wavelets of each band's level, 80 ms to 2.56 s",
            StreamingCrnn,
            ("model.wavelet_channels=0",),
        ),
        Variant(
            "tagger",
            "the published tagger's first nine convolutions in place of its own and the branch",
            StreamingCrnn,
            ("model.tagger_layers=9", "model.n_mels=64", "model.wavelet_channels=0", "model.channels=[16, 32, 64, 64]"),
        ),
        Variant(
            "denoising",
            "spectral subtraction in front, noise by minimum statistics of 2.6 s",
            AblatedCrnn.with_enhancement(SpectralSubtraction),
        ),
    )
}
