"""instructor over litellm's functions: structured answers by a tool call, complete and streamed."""

from __future__ import annotations

import asyncio

import instructor
import litellm
from pydantic import BaseModel
from target import SERVER


class User(BaseModel):
    name: str
    age: int


ASKED = [{"role": "user", "content": "Ann is 3 years old"}]

client = instructor.from_litellm(litellm.completion)
user = client.chat.completions.create(
    model="openai/user", messages=ASKED, response_model=User, **SERVER
)
assert (user.name, user.age) == ("Ann", 3), user
user, whole = client.chat.completions.create_with_completion(
    model="openai/user", messages=ASKED, response_model=User, **SERVER
)
assert whole.usage.total_tokens == 7, whole

client = instructor.from_litellm(litellm.acompletion)
user = asyncio.run(
    client.chat.completions.create(
        model="openai/user", messages=ASKED, response_model=User, **SERVER
    )
)
assert (user.name, user.age) == ("Ann", 3), user


async def last_part() -> dict[str, object]:
    parts = client.chat.completions.create_partial(
        model="openai/user", messages=ASKED, response_model=User, stream=True, **SERVER
    )
    return [part async for part in parts][-1].model_dump()


# Only here: over the synchronous function, instructor makes an asynchronous generator as well.
assert asyncio.run(last_part()) == {"name": "Ann", "age": 3}
