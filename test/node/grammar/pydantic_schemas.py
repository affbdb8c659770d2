"""Writes pydantic.json: what pydantic makes of types that pages ask for. python3 test/node/grammar/pydantic_schemas.py"""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal, Optional, Union
from uuid import UUID

import pydantic
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, IPvAnyAddress, PositiveInt, SecretStr


class Currency(str, Enum):
    EUR = "EUR"
    USD = "USD"


class Item(BaseModel):
    description: str = Field(max_length=60)
    quantity: int = Field(ge=1, le=99, default=1)
    price: Decimal


class Receipt(BaseModel):
    """A receipt."""

    merchant: str = Field(description="As printed")
    day: Optional[date] = None
    currency: Currency
    items: list[Item] = Field(max_length=20)
    total: Decimal = Field(max_digits=8, decimal_places=2)


class Box(BaseModel):
    label: str
    box: tuple[int, int, int, int]
    score: float = Field(ge=0, le=1)


class Boxes(BaseModel):
    boxes: list[Box] = Field(min_length=1, max_length=5)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool


class Pet(BaseModel):
    pet: Union[Cat, Dog] = Field(discriminator="kind")


class Node(BaseModel):
    name: str
    children: list["Node"] = []


class Contact(BaseModel):
    model_config = ConfigDict(extra="forbid")
    site: HttpUrl
    id: UUID
    code: str = Field(pattern=r"^[A-Z]{2}\d+$", max_length=8)
    when: datetime
    at: time
    lasts: timedelta


class Tags(BaseModel):
    tags: set[Literal["a", "b"]]
    counts: dict[str, int]
    named: dict[Literal["x", "y"], float]
    either: int | str | None
    size: PositiveInt
    pair: tuple[str, ...]


def schema(of):
    return of.model_json_schema() if hasattr(of, "model_json_schema") else pydantic.TypeAdapter(of).json_schema()


refused = {
    "set[str]": (set[str], "'uniqueItems' at # cannot be enforced: it can be enforced only where all items follow one enum"),
    "bytes": (bytes, "'format' at # cannot be enforced: the formats are date, time"),
    "SecretStr": (SecretStr, "'format' at # cannot be enforced: the formats are date, time"),
    "IPvAnyAddress": (IPvAnyAddress, "'format' at # cannot be enforced: the formats are date, time"),
    "multiple_of": (
        Annotated[float, Field(multiple_of=0.5)],
        "'multipleOf' at # cannot be enforced: only integers of at least 1",
    ),
}

models = [Receipt, Boxes, Pet, Node, Contact, Tags]
data = {
    "pydantic": pydantic.VERSION,
    "schemas": {model.__name__: schema(model) for model in models}
    | {"Receipt, serialized": Receipt.model_json_schema(mode="serialization"), "list[str]": schema(list[str])},
    "refused": {name: {"schema": schema(of), "message": message} for name, (of, message) in refused.items()},
}
Path(__file__).with_name("pydantic.json").write_text(json.dumps(data, indent=2) + "\n")
