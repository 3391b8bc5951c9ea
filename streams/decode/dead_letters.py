"""Dead letters: what is published of a record that could not be read."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from hashlib import blake2b

import orjson

from schemas import DEAD_LETTER_TYPE, Config
from streams.decode.columns import Refusal
from streams.records import OutputRecord, RecordBatch

MAX_QUOTED_BYTES = 64 * 1024
_LAST = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


def dead_letter(refusal: Refusal, batch: RecordBatch, config: Config) -> OutputRecord:
    """The dead letter of a refusal; the same record always gives the same one, with the same ce_id."""
    topic, partition = batch.source
    offset = int(batch.offsets[refusal.place])
    moment = _rfc_3339(int(batch.timestamps[refusal.place]))
    key = batch.key(refusal.place)
    quote = config.privacy.dead_letter_value == "full"
    body = {
        "error": {"code": refusal.code, "message": refusal.message, "field": refusal.field},
        "source": {"topic": topic, "partition": partition, "offset": offset, "timestamp": moment},
        "key": _base64(key) if quote else None,
        "value": _base64(batch.values[refusal.place]) if quote else None,
    }
    identity = blake2b(f"{topic}/{partition}/{offset}".encode(), digest_size=16).hexdigest()
    headers = {
        "ce_specversion": "1.0",
        "ce_id": identity,
        "ce_type": DEAD_LETTER_TYPE,
        "ce_source": config.source,
        "ce_time": moment,
        "content-type": "application/json",
    }
    return OutputRecord(
        config.topics.dead_letters,
        key,
        orjson.dumps(body),
        headers=tuple((name, value.encode()) for name, value in headers.items()),
    )


def _rfc_3339(milliseconds: int) -> str:
    milliseconds = min(max(milliseconds, 0), _LAST)  # a record's timestamp is whatever its producer said
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data[:MAX_QUOTED_BYTES]).decode()
