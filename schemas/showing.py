"""A configuration as text: for people, with secrets masked, and as a hash of what affects results."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml

from schemas.config import Config

MASK = "********"
_SECRET = ("password", "secret", "key", "token", "oauthbearer.config", "kinit.cmd")


def is_secret(name: str) -> bool:
    """Whether a property of kafka.client holds what must not be shown."""
    return any(word in name for word in _SECRET)


def show_config(config: Config) -> str:
    """The whole configuration as YAML, defaults included, secrets masked."""
    data = _plain(config)
    for name in data["kafka"]["client"]:
        if is_secret(name):
            data["kafka"]["client"][name] = MASK
    if config.privacy.hash_key is not None:
        data["privacy"]["hash_key"] = MASK
    data["models"] = {name: model.model_dump(mode="json", by_alias=True, exclude_unset=True)
                      for name, model in config.models.items()}  # fmt: skip
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


def config_hash(config: Config) -> str:
    """A hash of everything that affects results, 16 hex digits; the same on every machine.

    Left out: how Kafka is reached, where state is kept, HTTP, secrets.
    """
    data = _plain(config)
    relevant = {key: data[key] for key in ("partitioner", "outcomes_partitions", "limits", "fields", "label_fields")}
    relevant["privacy"] = {key: data["privacy"][key] for key in ("drop_features", "hash_features", "categories")}
    relevant["defaults"] = data["defaults"]
    relevant["models"] = {
        name: config.model(name).model_dump(mode="json", by_alias=True) for name in sorted(config.models)
    }
    text = json.dumps(relevant, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", by_alias=True)
