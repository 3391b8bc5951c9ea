"""The kernel: records of a batch, one JSON object each, to the fields of prediction or label events.

Arrays go from kernel to kernel one by one, and none is made in them: only then are no references counted, which would
take longer than the work.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba
import numpy as np

from schemas import LARGEST_EXACT, MAX_IDENTIFIER_BYTES, MAX_NUMBER
from streams.decode.scan.grammar import CLOSE, COLON, COMMA, OPEN, QUOTE, past_spaces, past_value, past_word, text_end
from streams.decode.scan.interner import FULL, SERIAL, intern
from streams.decode.scan.numbers import UNSURE, read_number
from streams.decode.timestamps import BAD, time_of
from streams.records import Float64Array, Int32Array, Int64Array, UInt8Array

ID, KEY, TIMESTAMP, MODEL, CLASS, WEIGHT, SCORE, LATENCY, ERROR, VERSION, VARIANT = range(11)
FEATURES, ATTRIBUTIONS, SEGMENTS = 11, 12, 13
"""Fields, as bits of GIVEN too. A label has the first six."""
DONE: Final = -1
_ANYTHING, _NUMBERS_OR_NULL, _NUMBERS = range(3)  # what the values of a map may be
ID_AT, KEY_AT, TIME, GIVEN, LIST_END, WHOLE = 0, 2, 4, 5, 6, 9  # columns of `whole`; ids take two, list ends three
CLASS_TEXT, MODEL_TEXT, VERSION_TEXT, VARIANT_TEXT, SEGMENT_TEXT = range(5)  # columns of `texts`, segments at the end
CLASS_NUMBER, WEIGHT_NUMBER, SCORE_NUMBER, LATENCY_NUMBER = range(4)  # columns of `numbers`
FEATURE_LIST, ATTRIBUTION_LIST, SCORE_LIST = range(3)  # rows of `names`, `values`, `categories`
_EXACT, _LARGEST, _LONGEST = float(LARGEST_EXACT), MAX_NUMBER, MAX_IDENTIFIER_BYTES


class Fields(NamedTuple):
    """What a kind of event calls its fields, and what it cannot do without."""

    names: UInt8Array  # end to end, in the order of the numbers above
    ends: Int64Array
    present: int  # bits of fields that must be there, if only as null
    given: int  # bits of fields that must be there, and not as null


class Found(NamedTuple):
    """The events' fields, an event in a row. Absent numbers are NaN, absent codes and places -1."""

    whole: Int64Array  # (n, WHOLE): places of id and key in the data, time, bits of fields given, ends of lists
    texts: Int32Array  # (n, SEGMENT_TEXT + segment keys): codes
    numbers: Float64Array  # (n, 4)
    list_ends: Int64Array  # (3,): entries so far
    names: Int32Array  # (3, m): codes
    values: Float64Array  # (3, m)
    categories: Int32Array  # (3, m): codes


@numba.njit(cache=True, _nrt=False)
def scan(
    data: UInt8Array,
    ends: Int64Array,
    field_names: UInt8Array,
    field_ends: Int64Array,
    needed: tuple[int, int],
    order: Int64Array,
    segment_codes: Int32Array,
    booleans: UInt8Array,
    slots: Int32Array,
    text_ends: Int64Array,
    store: UInt8Array,
    counts: Int64Array,
    stamps: Int64Array,
    whole: Int64Array,
    texts: Int32Array,
    numbers: Float64Array,
    list_ends: Int64Array,
    names: Int32Array,
    values: Float64Array,
    categories: Int32Array,
) -> int:
    """Read every record; record i is data[ends[i - 1] + 1:ends[i]], a line feed behind it. DONE, or FULL where the
    table has no room, or the first record that it is not sure of. `order`: the fields of the last record, a guess.
    `booleans`: the canonical texts of false and true, end to end."""
    stop = np.int64(-1)
    for row in range(len(ends)):
        start, stop = stop + 1, ends[row]
        present, given = np.int64(0), np.int64(0)
        at = past_spaces(data, start, stop)
        if data[at] != OPEN:
            return row
        at = past_spaces(data, at + 1, stop)
        nth = 0
        while True:
            if data[at] != QUOTE:
                return row  # an empty object too: it lacks what is needed
            begin = at + 1
            end = text_end(data, begin)
            if end == UNSURE:
                return row
            field = _field(data, begin, end, field_names, field_ends, order, nth)
            nth += 1
            at = past_spaces(data, end + 1, stop)
            if data[at] != COLON:
                return row
            at = past_spaces(data, at + 1, stop)
            byte = data[at]
            if field < 0:
                at = past_value(data, at, stop)
            elif present >> field & 1:
                return row  # a key twice
            elif byte == 110:
                present |= np.int64(1) << field
                at = past_word(data, at)
            else:
                present |= np.int64(1) << field
                given |= np.int64(1) << field
                if field == ID:
                    at = _identifier(data, at, whole, ID_AT, row)
                elif field == KEY:
                    at = _identifier(data, at, whole, KEY_AT, row)
                elif field == TIMESTAMP:
                    at = _timestamp(data, at, whole, row)
                elif field == CLASS and byte != QUOTE:
                    at = _class(data, at, numbers, row)
                elif field in (FEATURES, ATTRIBUTIONS) or (field == SCORE and byte == OPEN):
                    which = FEATURE_LIST if field == FEATURES else (SCORE_LIST if field == SCORE else ATTRIBUTION_LIST)
                    allowed = _ANYTHING if field == FEATURES else (_NUMBERS if field == SCORE else _NUMBERS_OR_NULL)
                    at = _map(
                        data, at, stop, list_ends, which, allowed, booleans,
                        slots, text_ends, store, counts, stamps, names, values, categories,
                    )  # fmt: skip
                elif field == SCORE:
                    at = _number(data, at, numbers, SCORE_NUMBER, row)
                elif field == WEIGHT:
                    at = _number(data, at, numbers, WEIGHT_NUMBER, row)
                elif field == LATENCY:
                    at = _number(data, at, numbers, LATENCY_NUMBER, row)
                elif field == SEGMENTS:
                    at = _segments(data, at, stop, row, segment_codes, slots, text_ends, store, counts, texts)
                else:
                    at = _text(data, at, row, field, slots, text_ends, store, counts, texts)
            if at == FULL:
                return FULL
            if at == UNSURE:
                return row
            at = past_spaces(data, at, stop)
            if data[at] == COMMA:
                at = past_spaces(data, at + 1, stop)
            elif data[at] == CLOSE:
                break
            else:
                return row
        if past_spaces(data, at + 1, stop) != stop:
            return row
        if present & needed[0] != needed[0] or given & needed[1] != needed[1]:
            return row
        whole[row, GIVEN] = given
        for each in range(3):
            whole[row, LIST_END + each] = list_ends[each]
    return DONE


@numba.njit(cache=True, _nrt=False)
def _field(
    data: UInt8Array, begin: int, end: int, names: UInt8Array, ends: Int64Array, order: Int64Array, nth: int
) -> int:
    """The number of the field with this name, -1 for none: first guessed, then looked for."""
    guess = order[nth] if nth < len(order) else np.int64(-1)
    for step in range(-1, len(ends)):
        field = guess if step < 0 else np.int64(step)
        if field < 0:
            continue
        first = ends[field - 1] if field else np.int64(0)
        if ends[field] - first != end - begin:
            continue
        same = True
        for i in range(end - begin):
            if names[first + i] != data[begin + i]:
                same = False
                break
        if same:
            if nth < len(order):
                order[nth] = field
            return int(field)
    return -1


@numba.njit(cache=True, _nrt=False)
def _identifier(data: UInt8Array, at: int, whole: Int64Array, place: int, row: int) -> int:
    """A text of 1 to 256 bytes, or a natural number as it is written."""
    if data[at] == QUOTE:
        end = text_end(data, at + 1)
        if end == UNSURE or not 1 <= end - at - 1 <= _LONGEST:
            return UNSURE
        whole[row, place], whole[row, place + 1] = at + 1, end
        return int(end + 1)
    end, _, integer = read_number(data, at)
    if end == UNSURE or not integer or data[at] == 45:
        return UNSURE
    whole[row, place], whole[row, place + 1] = at, end
    return int(end)


@numba.njit(cache=True, _nrt=False)
def _timestamp(data: UInt8Array, at: int, whole: Int64Array, row: int) -> int:
    if data[at] == QUOTE:
        end = text_end(data, at + 1)
        if end == UNSURE:
            return UNSURE
        time = time_of(data, at + 1, end)
        whole[row, TIME] = time
        return int(end + 1) if time != BAD else UNSURE
    end, value, integer = read_number(data, at)
    if end == UNSURE or not integer or abs(value) >= _EXACT:
        return UNSURE
    whole[row, TIME] = np.int64(value)
    return int(end)


@numba.njit(cache=True, _nrt=False)
def _class(data: UInt8Array, at: int, numbers: Float64Array, row: int) -> int:
    """A class that is a number or a truth."""
    if data[at] == 116 or data[at] == 102:
        numbers[row, CLASS_NUMBER] = 1.0 if data[at] == 116 else 0.0
        return int(past_word(data, at))
    end, value, _ = read_number(data, at)
    if end == UNSURE or abs(value) >= _EXACT:
        return UNSURE
    numbers[row, CLASS_NUMBER] = value
    return int(end)


@numba.njit(cache=True, _nrt=False)
def _number(data: UInt8Array, at: int, numbers: Float64Array, place: int, row: int) -> int:
    end, value, _ = read_number(data, at)
    if end == UNSURE or abs(value) > _LARGEST:
        return UNSURE
    numbers[row, place] = value
    return int(end)


@numba.njit(cache=True, _nrt=False)
def _text(
    data: UInt8Array,
    at: int,
    row: int,
    field: int,
    slots: Int32Array,
    text_ends: Int64Array,
    store: UInt8Array,
    counts: Int64Array,
    texts: Int32Array,
) -> int:
    """A model, version, variant, error, or a class that is a text."""
    if data[at] != QUOTE:
        return UNSURE
    end = text_end(data, at + 1)
    if end == UNSURE:
        return UNSURE
    length = end - at - 1
    if field == ERROR:
        return int(end + 1) if length else UNSURE  # an empty error is none
    if field == MODEL and not 1 <= length <= _LONGEST:
        return UNSURE
    code = intern(slots, text_ends, store, counts, data, at + 1, end)
    if code == FULL:
        return FULL
    place = CLASS_TEXT
    if field == MODEL:
        place = MODEL_TEXT
    elif field == VERSION:
        place = VERSION_TEXT
    elif field == VARIANT:
        place = VARIANT_TEXT
    texts[row, place] = code
    return int(end + 1)


@numba.njit(cache=True, _nrt=False)
def _map(
    data: UInt8Array,
    at: int,
    stop: int,
    list_ends: Int64Array,
    which: int,
    allowed: int,
    booleans: UInt8Array,
    slots: Int32Array,
    text_ends: Int64Array,
    store: UInt8Array,
    counts: Int64Array,
    stamps: Int64Array,
    names: Int32Array,
    values: Float64Array,
    categories: Int32Array,
) -> int:
    """An object of names and values, to the end of list `which`."""
    if data[at] != OPEN:
        return UNSURE
    at = past_spaces(data, at + 1, stop)
    if data[at] == CLOSE:
        return at + 1
    entry = list_ends[which]
    counts[SERIAL] += 1
    serial = counts[SERIAL]
    while True:
        if data[at] != QUOTE:
            return UNSURE
        end = text_end(data, at + 1)
        if end == UNSURE:
            return UNSURE
        name = intern(slots, text_ends, store, counts, data, at + 1, end)
        if name == FULL:
            return FULL
        if stamps[name] == serial:
            return UNSURE  # a name twice
        stamps[name] = serial
        at = past_spaces(data, end + 1, stop)
        if data[at] != COLON:
            return UNSURE
        at = past_spaces(data, at + 1, stop)
        value, category = np.nan, np.int64(-1)
        byte = data[at]
        if byte == 45 or 48 <= byte <= 57:
            at, value, _ = read_number(data, at)
            if abs(value) > _LARGEST:
                return UNSURE
        elif byte == QUOTE and allowed == _ANYTHING:
            end = text_end(data, at + 1)
            if end == UNSURE:
                return UNSURE
            category = np.int64(intern(slots, text_ends, store, counts, data, at + 1, end))
            if category == FULL:
                return FULL
            at = end + 1
        elif byte == 110 and allowed != _NUMBERS:
            at = past_word(data, at)
        elif byte in (116, 102) and allowed == _ANYTHING:
            truth = 1 if byte == 116 else 0
            category = np.int64(intern(slots, text_ends, store, counts, booleans, truth, truth + 1))
            if category == FULL:
                return FULL
            at = past_word(data, at)
        else:
            return UNSURE
        if at == UNSURE:
            return UNSURE
        names[which, entry], values[which, entry], categories[which, entry] = name, value, category
        entry += 1
        at = past_spaces(data, at, stop)
        if data[at] == COMMA:
            at = past_spaces(data, at + 1, stop)
        elif data[at] == CLOSE:
            list_ends[which] = entry
            return at + 1
        else:
            return UNSURE


@numba.njit(cache=True, _nrt=False)
def _segments(
    data: UInt8Array,
    at: int,
    stop: int,
    row: int,
    segment_codes: Int32Array,
    slots: Int32Array,
    text_ends: Int64Array,
    store: UInt8Array,
    counts: Int64Array,
    texts: Int32Array,
) -> int:
    """An object of names and texts; those of the segment keys are kept."""
    if data[at] != OPEN:
        return UNSURE
    at = past_spaces(data, at + 1, stop)
    if data[at] == CLOSE:
        return at + 1
    while True:
        if data[at] != QUOTE:
            return UNSURE
        end = text_end(data, at + 1)
        if end == UNSURE:
            return UNSURE
        name = intern(slots, text_ends, store, counts, data, at + 1, end)
        if name == FULL:
            return FULL
        at = past_spaces(data, end + 1, stop)
        if data[at] != COLON:
            return UNSURE
        begin = past_spaces(data, at + 1, stop)
        at = text_end(data, begin + 1) + 1 if data[begin] == QUOTE else past_word(data, begin)
        if at <= 0 or (data[begin] != QUOTE and data[begin] != 110):
            return UNSURE
        for key in range(len(segment_codes)):
            if segment_codes[key] == name:
                code = -1
                if data[begin] == QUOTE:
                    code = intern(slots, text_ends, store, counts, data, begin + 1, at - 1)
                    if code == FULL:
                        return FULL
                texts[row, SEGMENT_TEXT + key] = code
        at = past_spaces(data, at, stop)
        if data[at] == COMMA:
            at = past_spaces(data, at + 1, stop)
        elif data[at] == CLOSE:
            return at + 1
        else:
            return UNSURE


@numba.njit(cache=True)
def pack(data: UInt8Array, spans: Int64Array) -> tuple[UInt8Array, Int64Array]:
    """Spans (n, 2) of the data end to end, and where each ends."""
    ends = np.cumsum(spans[:, 1] - spans[:, 0])
    packed = np.empty(ends[-1] if len(ends) else 0, np.uint8)
    to = 0
    for i in range(len(spans)):
        for j in range(spans[i, 0], spans[i, 1]):
            packed[to] = data[j]
            to += 1
    return packed, ends
