"""Sample data: four users, a server, and messages. Created once, in an empty database."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from examples.fastapi_app import models
from examples.fastapi_app.permissions import DEFAULT_ROLE, Permission
from examples.fastapi_app.schemas import DEFAULT_TYPE

PEOPLE = {"alice": "Alice", "bob": "Bob", "carol": "Carol", "dave": "Dave"}
STICKERS = ("Hello", "Love", "Laugh", "Sleep", "Wow", "Tea")


async def seed(session: AsyncSession) -> None:
    """Fill the database if it is empty."""
    if await session.scalar(select(models.Server.id).limit(1)) is not None:
        return
    for user_id, name in PEOPLE.items():
        await session.merge(models.User(id=user_id, username=user_id, display_name=name))
    await session.flush()
    server_id = await _server(session)
    channels = await _channels(session, server_id)
    await _talk(session, channels)
    await _direct_messages(session)
    await session.commit()


async def _server(session: AsyncSession) -> str:
    server = models.Server(id=models.new_id(), name="Mew HQ", owner_id="alice")
    session.add(server)
    await session.flush()
    moderator = models.Role(
        id=models.new_id(),
        server_id=server.id,
        name="Moderator",
        permissions=Permission.KICK_MEMBERS | Permission.MANAGE_MESSAGES,
    )
    session.add(models.Role(id=server.id, server_id=server.id, name="everyone", permissions=DEFAULT_ROLE))
    session.add(moderator)
    session.add_all(models.Member(server_id=server.id, user_id=user_id) for user_id in ("alice", "bob", "carol"))
    session.add_all(
        models.Sticker(
            server_id=server.id, name=name, image_url=f"/static/stickers/{name.lower()}.svg", creator_id="alice"
        )
        for name in STICKERS
    )
    await session.flush()
    session.add(models.MemberRole(server_id=server.id, user_id="bob", role_id=moderator.id))
    return server.id


async def _channels(session: AsyncSession, server_id: str) -> dict[str, models.Channel]:
    categories = [
        models.Category(id=models.new_id(), server_id=server_id, name=name, position=position)
        for position, name in enumerate(("Welcome", "Work"))
    ]
    session.add_all(categories)
    await session.flush()
    welcome, work = (category.id for category in categories)
    plan = (
        ("welcome", "Say hello", welcome),
        ("general", "Everything and nothing", welcome),
        ("design", "How it looks and how it feels", work),
        ("random", "Cats, mostly", work),
        ("moderators", "Behind the curtain", work),
    )
    channels = {
        name: models.Channel(
            id=models.new_id(), server_id=server_id, name=name, topic=topic, category_id=category, position=position
        )
        for position, (name, topic, category) in enumerate(plan)
    }
    channels["moderators"].overrides = [
        models.ChannelOverride(target_type="role", target_id=server_id, deny=Permission.VIEW_CHANNEL),
        models.ChannelOverride(target_type="user", target_id="bob", allow=Permission.VIEW_CHANNEL),
    ]
    session.add_all(channels.values())
    await session.flush()
    return channels


async def _talk(session: AsyncSession, channels: dict[str, models.Channel]) -> None:
    lines = (
        ("welcome", "alice", "Welcome to Mew HQ! Open this page in a second window as another user. 🎉"),
        ("welcome", "bob", "Hi all."),
        ("general", "carol", "Morning! Who moved my yarn?"),
        ("general", "alice", "The cat did it. It is always the cat."),
        ("general", "bob", "I can kick the cat. I am a moderator."),
        ("design", "carol", "The new palette is in. Warmer greys, one strong accent."),
        ("design", "alice", "Love it. Ship it."),
        ("random", "bob", "Fact of the day: a group of cats is called a clowder."),
        ("moderators", "alice", "Only Bob and I can see this channel."),
    )
    last: dict[str, models.Message] = {}
    for channel, author, content in lines:
        last[channel] = await _say(session, channels[channel].id, author, content)
    for message, emoji, user_id in (
        (last["welcome"], "👍", "alice"),
        (last["welcome"], "👍", "carol"),
        (last["general"], "😂", "alice"),
        (last["design"], "❤️", "carol"),
    ):
        session.add(models.Reaction(message_id=message.id, emoji=emoji, user_id=user_id))


async def _direct_messages(session: AsyncSession) -> None:
    channel = models.Channel(id=models.new_id(), dm_key="alice\nbob")
    session.add(channel)
    await session.flush()
    session.add_all(models.DMRecipient(channel_id=channel.id, user_id=user_id) for user_id in ("alice", "bob"))
    await _say(session, channel.id, "bob", "Psst. Only the two of us can read this.")


async def _say(session: AsyncSession, channel_id: str, author_id: str, content: str) -> models.Message:
    message = models.Message(
        id=models.new_id(),
        channel_id=channel_id,
        author_id=author_id,
        type=DEFAULT_TYPE,
        content=content,
        attachments=[],
    )
    session.add(message)
    await session.flush()
    return message
