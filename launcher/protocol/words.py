"""The words of `typing`, and the one of `contextlib`, that the launcher uses, without loading them: more than half a megabyte for
the life of a process that is to stay small. A type checker sees the real ones.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import suppress as suppress
    from typing import Any as Any
    from typing import BinaryIO as BinaryIO
    from typing import ClassVar as ClassVar
    from typing import Final as Final
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
else:
    from collections import namedtuple

    class Any:
        """Only ever written, never looked at."""

    class Protocol:
        """A base without anything."""

    BinaryIO = ClassVar = Final = Any
    OF_A_CLASS = frozenset({"__module__", "__qualname__", "__annotations__", "__doc__"})

    class _Tuples(type):
        """Makes of a class with annotated fields what `collections.namedtuple` does, with its methods."""

        def __new__(mcs, name, bases, space):
            if not bases:
                return super().__new__(mcs, name, bases, space)
            fields = tuple(space.get("__annotations__", ()))
            defaults = [space.pop(field) for field in fields if field in space]
            made = namedtuple(name, fields, defaults=defaults, module=space["__module__"])
            made.__doc__ = space.get("__doc__")
            for key, value in space.items():
                if key not in OF_A_CLASS:
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Tuples):
        """The base of all of them."""

    class suppress:
        """Goes on after the block when one of these errors ended it."""

        def __init__(self, *errors):
            self._errors = errors

        def __enter__(self):
            return None

        def __exit__(self, kind, error, trace):
            return kind is not None and issubclass(kind, self._errors)
