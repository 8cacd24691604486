"""Exceptions that say who must act.

One root, `EarshotError`. The message is one line for a person: what, where, what to try. Data travels as attributes.
"""


class EarshotError(Exception):
    """Root of every error that Earshot raises on purpose; its text is fit to show to a person as it stands."""


class OperatorError(EarshotError):
    """The person who runs the program must change something: a config, a file, a password."""


class ConfigError(OperatorError):
    """A configuration value is wrong; the message names file, line, key and what was expected."""


class AudioFileError(OperatorError):
    """An audio file cannot be read; `path` names it."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


class PeerError(EarshotError):
    """The other side sent something wrong (a payload, a bundle); nothing was changed here."""


class MessageError(PeerError):
    """A payload is malformed; the message names the field and what was expected."""


class BundleError(PeerError):
    """A bundle is damaged, unsigned, incompatible or fails its self-test; nothing was installed."""


class RetryError(EarshotError):
    """The cause may pass by itself (device busy, network away); trying again later is right."""


class SourceError(RetryError):
    """An audio source could not be opened or broke off; the supervisor opens it again."""
