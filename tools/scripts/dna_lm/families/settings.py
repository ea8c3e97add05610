"""Single settings of a checkpoint's config.json, checked."""

from collections.abc import Mapping

from dna_lm.errors import UserError, quoted

Settings = Mapping[str, object]


def whole_number(settings: Settings, name: str, default: int | None = None) -> int:
    """A whole number above 0. Raises `UserError` for another value, or for none when there is no default."""
    value = settings.get(name, default)
    if type(value) is not int or value < 1:
        raise UserError(f"model: in config.json, {name} is {quoted(value)}, not a whole number above 0")
    return value


def token_id(settings: Settings, name: str) -> int | None:
    """The number of a token, or `None` when there is none. Raises `UserError` for another value."""
    value = settings.get(name)
    if value is not None and (type(value) is not int or value < 0):
        raise UserError(f"model: in config.json, {name} is {quoted(value)}, not the number of a token")
    return value


def number(settings: Settings, name: str, default: float) -> float:
    """A number. Raises `UserError` for another value."""
    value = settings.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"model: in config.json, {name} is {quoted(value)}, not a number")
    return float(value)


def flag(settings: Settings, name: str, default: bool) -> bool:
    """True or false. Raises `UserError` for another value."""
    value = settings.get(name, default)
    if not isinstance(value, bool):
        raise UserError(f"model: in config.json, {name} is {quoted(value)}, not true or false")
    return value


def require(settings: Settings, family: str, **values: object) -> None:
    """Raise `UserError` unless each named setting has its only supported value, or is absent."""
    for name, value in values.items():
        if settings.get(name, value) != value:
            raise UserError(
                f"model: in config.json, {name} is {quoted(settings[name])}: "
                f"of {family}, only models with {quoted(value)} can be read"
            )


def check_heads(width: int, n_heads: int) -> None:
    """Raise `UserError` when a hidden state of this width cannot be divided among the heads of attention."""
    if width % n_heads:
        raise UserError(
            f"model: in config.json, hidden_size is {width}, not a multiple of {n_heads} num_attention_heads"
        )
