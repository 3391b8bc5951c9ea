"""Dead letters: what is published of a record that could not be read."""

from __future__ import annotations

import base64
from hashlib import blake2b

import orjson

from schemas import Config
from streams.cloudevents import headers, rfc3339
from streams.decode.columns import Refusal
from streams.records import OutputRecord, RecordBatch

MAX_QUOTED_BYTES = 64 * 1024
_LAST = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


def dead_letter(refusal: Refusal, batch: RecordBatch, config: Config, clock: int | None = None) -> OutputRecord:
    """The dead letter of a refusal, keyed as the bad record was; ce_id is the record's place, so it never changes.

    `clock` is the clock of the ticks in epoch milliseconds, for ce_time; without it, the record's time.
    """
    topic, partition = batch.source
    offset = int(batch.offsets[refusal.place])
    # A producer may write any timestamp; a dead letter must come of every one.
    timestamp = min(max(int(batch.timestamps[refusal.place]), 0), _LAST)
    key = batch.key(refusal.place)
    quote = config.privacy.dead_letter_value == "full"
    body = {
        "error": {"code": refusal.code, "message": refusal.message, "field": refusal.field},
        "source": {"topic": topic, "partition": partition, "offset": offset, "timestamp": rfc3339(timestamp)},
        "key": _base64(key) if quote else None,
        "value": _base64(batch.values[refusal.place]) if quote else None,
    }
    identity = blake2b(f"{topic}/{partition}/{offset}".encode(), digest_size=16).hexdigest()
    return OutputRecord(
        config.topics.dead_letters,
        None if key is not None and len(key) > MAX_QUOTED_BYTES else key,  # with it no broker would take it
        orjson.dumps(body),
        headers=headers(
            "dead_letter", identity, config.kafka.application_id, None, timestamp if clock is None else clock
        ),
    )


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data[:MAX_QUOTED_BYTES]).decode()
