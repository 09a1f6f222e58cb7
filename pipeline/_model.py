"""The base of all types: JSON's objects as structs that lose nothing.

Fields that a type does not know are kept in `model_extra`, are readable as attributes, and come back
out of `to_dict()`.

Decoding has two paths with one result. The typed msgspec decoder takes what it expects to the
letter; whatever it refuses (an unknown field, a null or a number where a string belongs) goes
through the lenient path below, which reads it the way it was meant, or leaves it out if there is
no such way. (`raw` has it then.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, partial
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

T = TypeVar("T", bound="Model")
V = TypeVar("V")

if TYPE_CHECKING:
    Own = Annotated[V, "Scallion's"]
else:

    class Own:
        """The type of a field that is Scallion's own.

        To the decoder it is one that no JSON value has, so that no wire can set the field: what
        comes under its name is an unknown field.
        """

        def __class_getitem__(cls, _: Any) -> type:
            return cls


class Model(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What all types here share: dict and JSON forms in pydantic's names, and unknown fields kept.

    Fields whose wire name begins with `@` are Scallion's own: never written to JSON, nor read.
    """

    # Written even when None, because receivers tell "null" from "absent" there.
    _written_if_none: ClassVar[frozenset[str]] = frozenset()

    model_extra: Own[dict[str, Any] | None] = field(default=None, name="@extra")

    def __getattr__(self, name: str) -> Any:
        # Only reached for names that are not fields: a provider's own field, or a mistake.
        extra = None if name.startswith("__") else self.model_extra
        if extra is not None and name in extra:
            return extra[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Only what is set, and never the raw body: these end up in logs and in test failures.
        shown = [(name, getattr(self, name)) for name in self.__struct_fields__ if name != "body"]
        return [(name, value) for name, value in shown if value]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object this stands for: fields that are set, and every unknown field."""
        return self._dump(keep_none=False)

    def model_dump(
        self,
        *,
        exclude_none: bool = False,
        include: set[str] | None = None,
        exclude: set[str] | None = None,
        **_ignored: Any,
    ) -> dict[str, Any]:
        """Like pydantic's: every field, `None` included unless `exclude_none`.

        Pydantic's other options (`mode`, `by_alias`, …) are accepted and make no difference here.
        """
        dumped = self._dump(keep_none=not exclude_none)
        if include is not None:
            dumped = {key: value for key, value in dumped.items() if key in include}
        if exclude is not None:
            dumped = {key: value for key, value in dumped.items() if key not in exclude}
        return dumped

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """`model_dump` as JSON text."""
        encoded = msgspec.json.encode(self.model_dump(**options))
        return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()

    @classmethod
    def model_validate(cls, obj: Mapping[str, Any] | Self) -> Self:
        """Build from a dict (or return the instance given).

        Raises:
            ValueError: `obj` is not a mapping, or a list or object stands where it cannot be read.
        """
        return read(cls, obj)

    @classmethod
    def model_validate_json(cls, data: str | bytes) -> Self:
        """Build from JSON text. Raises `ValueError` if it is not JSON or not an object."""
        return decode(cls, data.encode() if isinstance(data, str) else data)

    # What pydantic and FastAPI ask: so that an answer can be a model's field, and a route's result.

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from self.to_dict().items()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        written = core_schema.plain_serializer_function_ser_schema(cls.to_dict)
        return core_schema.no_info_plain_validator_function(
            cls.model_validate, serialization=written
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "object", "title": cls.__name__}

    def _dump(self, *, keep_none: bool) -> dict[str, Any]:
        dumped: dict[str, Any] = {}
        for attribute, wire, _ in _plan(type(self)):
            value = getattr(self, attribute)
            if value is None:
                if keep_none or attribute in self._written_if_none:
                    dumped[wire] = None
            elif isinstance(value, Model):
                dumped[wire] = value._dump(keep_none=keep_none)
            elif isinstance(value, list):
                dumped[wire] = [
                    item._dump(keep_none=keep_none) if isinstance(item, Model) else item
                    for item in value
                ]
            else:
                dumped[wire] = value
        if self.model_extra:
            dumped.update(self.model_extra)
        return dumped


def decode(cls: type[T], data: bytes) -> T:
    """Decode JSON into `cls`, strictly if it fits and leniently if it does not.

    Raises:
        ValueError: not JSON, not UTF-8, or not an object (msgspec's errors are ValueErrors).
        RecursionError: nested too deep to read.
    """
    try:
        decoder: msgspec.json.Decoder[T] = decoder_of(cls)
        return decoder.decode(data)
    except msgspec.ValidationError:
        return read(cls, msgspec.json.decode(data))


def read(cls: type[T], obj: object) -> T:
    """The lenient path: build `cls` from decoded JSON of any temper."""
    if isinstance(obj, cls):
        return obj
    if not isinstance(obj, Mapping):
        raise ValueError(f"expected a JSON object for {cls.__name__}, got {type(obj).__name__}")
    known: dict[str, Any] = {}
    extra = dict(obj)
    for attribute, wire, convert in _plan(cls):
        if wire in extra:
            value = extra.pop(wire)
            if value is not None and (converted := convert(value)) is not None:
                known[attribute] = converted
            elif convert in _NUMBERS and isinstance(value, dict):
                extra[wire] = value  # Perplexity's cost, item by item
    return cls(**known, model_extra=extra or None)


@cache
def decoder_of(cls: type[T]) -> msgspec.json.Decoder[T]:
    """The one decoder for a class. Takes a millisecond to make, which an import should not."""
    return msgspec.json.Decoder(cls)


@cache
def _plan(cls: type[Model]) -> tuple[tuple[str, str, Callable[[Any], Any]], ...]:
    """The wire fields of `cls`: attribute, name in JSON, and how to read an odd value."""
    hints = get_type_hints(cls)
    names = zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)
    return tuple(
        (attribute, wire, _reader(hints[attribute]))
        for attribute, wire in names
        if not wire.startswith("@")
    )


def _reader(hint: Any) -> Callable[[Any], Any]:
    """How to read a value that should have been a `hint`; the result None means "leave it out"."""
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kinds = {get_origin(option) or option: get_args(option) for option in options}
    for kind, arguments in kinds.items():
        if isinstance(kind, type) and issubclass(kind, Model):
            return partial(_read_object, kind)
        if kind is list and isinstance(arguments[0], type) and issubclass(arguments[0], Model):
            return partial(_read_list, arguments[0])
    if list in kinds:
        return _text_or_list if str in kinds else _only(list)
    if dict in kinds:
        return _only(dict)
    return next((read for kind, read in _SCALARS.items() if kind in kinds), lambda value: value)


def _read_object(cls: type[T], value: object) -> T | None:
    return read(cls, value) if isinstance(value, (cls, Mapping)) else None


def _read_list(cls: type[T], value: object) -> list[T]:
    if not isinstance(value, list):
        raise ValueError(f"expected a JSON array of {cls.__name__}, got {type(value).__name__}")
    return [read(cls, item) for item in value]


def _only(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, kind) else None


def _text_or_list(value: object) -> object:
    return value if isinstance(value, list) else _text(value)


def _text(value: object) -> str:
    # Some servers send numeric ids, or tool arguments as an object instead of JSON text.
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except TypeError as error:  # only from `model_validate`: a wire brings nothing else
        raise ValueError(f"{type(value).__name__} is no JSON value: {error}") from error


def _number(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        try:
            number = kind(value)
            return number if math.isfinite(number) else None
        except (TypeError, ValueError, OverflowError):
            return None

    return convert


_SCALARS: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    int: _number(int),
    float: _number(float),
}
_NUMBERS = (_SCALARS[int], _SCALARS[float])
