"""Prints the claims that this release of the Python project sends, as JSON: what limits them, the text, its values as literals."""

import json
import uuid
from datetime import timedelta

from pgqueuer.adapters.persistence.qb import QueryQueueBuilder

ENTRYPOINTS = ["work", "other"]
SHAPES = {"nothing": (0, None), "entrypoints": (100, None), "the worker": (0, 100), "both": (100, 100)}


def literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case int():
            return str(value)
        case list():
            return "'{" + ",".join(map(str, value)) + "}'"
        case timedelta():
            return f"'{value.total_seconds()} s'"
        case _:
            return f"'{value}'"


def claim(limit: int, budget: int | None) -> tuple[str, tuple]:
    me, timeout, limits = uuid.uuid4(), timedelta(seconds=30), [limit] * len(ENTRYPOINTS)
    builder = QueryQueueBuilder()
    try:
        return builder.build_dequeue_query(), (10, ENTRYPOINTS, limits, me, budget, timeout)
    except TypeError:  # from 1.4 on the text depends on the limits
        query = builder.build_dequeue_query(
            batch_size=10,
            entrypoints=ENTRYPOINTS,
            concurrency_limits=limits,
            queue_manager_id=me,
            global_concurrency_limit=budget,
            heartbeat_timeout=timeout,
        )
        return query.sql, query.args


claims = []
for limited, (limit, budget) in SHAPES.items():
    text, values = claim(limit, budget)
    claims.append({"limited": limited, "text": text.rstrip().rstrip(";"), "values": ", ".join(map(literal, values))})
print(json.dumps(claims))
