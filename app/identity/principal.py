"""Who asks, and how much that is."""

import unicodedata
from dataclasses import dataclass
from enum import IntEnum

# As long as the user ids that orders take.
USER_ID_CHARACTERS = 128
NEVER_IN_AN_ID = ("Cc", "Cs")


class Role(IntEnum):
    """What somebody may do; each includes what is before it."""

    CUSTOMER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def label(self) -> str:
        """The role as tokens and requests name it."""
        return self.name.lower()

    @classmethod
    def labelled(cls, label: object) -> "Role":
        """The role of this label.

        Raises:
            ValueError: there is none.
        """
        for role in cls:
            if role.label == label:
                return role
        raise ValueError(f"must be one of {', '.join(role.label for role in cls)}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose identity was verified."""

    user_id: str
    role: Role = Role.CUSTOMER

    def sees(self, owner: str) -> bool:
        """Whether what belongs to the user `owner` may be shown to, or done for, this one."""
        return self.role >= Role.OPERATOR or self.user_id == owner


# Who asks where nobody is asked for a token.
EVERYBODY = Principal("", Role.ADMIN)


def user_id(value: object) -> str:
    """`value`, if it can be a user's id.

    Raises:
        ValueError: it can't.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= USER_ID_CHARACTERS:
        raise ValueError(f"must be a text of 1 to {USER_ID_CHARACTERS} characters")
    if not value.strip() or any(unicodedata.category(each) in NEVER_IN_AN_ID for each in value):
        raise ValueError("must not be blank, nor contain control characters")
    return value
