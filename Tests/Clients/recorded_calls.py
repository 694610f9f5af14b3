"""Model calls for tests that look at them, written into a stopped server's SQLite store as the server itself would."""

import json
import random
import secrets
import sqlite3
import time

DAY = 86_400_000_000
PRICES = {"gpt-4o-mini": (150, 600), "claude-haiku-4-5": (1_000, 5_000), "gpt-4.1": (2_000, 8_000)}
TARGETS = {
    "gpt-4o-mini": "main/gpt-4o-mini-2024-07-18",
    "claude-haiku-4-5": "backup/claude-haiku-4-5-20251001",
    "gpt-4.1": "main/gpt-4.1-2025-04-14",
}
AGENTS = ["writer", "reader", "critic", "scout", "editor", "tester", None]
SUMS = (
    "calls done failed canceled refused input cache_read cache_write output reasoning nano_usd unpriced estimated "
    "retry_nano_usd aborted_nano_usd saved_nano_usd"
).split()


def moment(micros):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(micros // 1_000_000)) + f".{micros % 1_000_000:06}Z"


def call(micros, agent="writer", model="gpt-4o-mini", status="done", **fields):
    """One row of `calls`; tokens and money follow from each other."""
    tokens = {"input": 1_200, "cacheRead": 300, "cacheWrite": 0, "output": 250, "reasoning": 40}
    tokens.update(fields.pop("tokens", {}))
    input_price, output_price = PRICES[model]
    asked, answered = tokens["input"] + tokens["cacheRead"], tokens["output"] + tokens["reasoning"]
    cost = asked * input_price + answered * output_price
    attempts = [
        {"target": TARGETS[model], "startedAt": moment(micros + 1_000), "durationMs": 780, "status": 200,
         "failure": None, "costNanoUSD": cost}
    ]
    return {
        "id": f"call_{micros // 1000:012x}7{secrets.token_hex(10)[1:]}", "status": status, "started_at": micros,
        "agent": agent, "project": "books", "task_id": None, "session": "s-1", "run": None, "key_id": "key_1",
        "tags": "[]", "correlation_id": "corr-1", "door": "openai.chat", "model": model, "tier": "cheap", "stream": 1,
        "target": TARGETS[model], "answered_model": model, "attempts": json.dumps(attempts),
        "usage_raw": json.dumps({"prompt_tokens": tokens["input"], "completion_tokens": tokens["output"]}),
        "buckets": json.dumps(tokens), "estimated": 0, "nano_usd": cost, "price_from": "2026-01-01",
        "saved_nano_usd": 0, "holds": "[]", "refusal": None, "failure": None, "http_status": 200, "cache": None,
        "duration_ms": 812, "ttft_ms": 140, "overhead_us": 85, "request_bytes": 5_120, "response_bytes": 9_300,
        "decision": "{}", **fields,
    }


def write(database, calls):
    """Calls with the sums that go with them."""
    with sqlite3.connect(database) as connection:
        for row in calls:
            names = ", ".join(row)
            connection.execute(
                f"INSERT INTO calls ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values())
            )
            tokens = json.loads(row["buckets"])
            bad = row["status"] != "done"
            sums = {
                "calls": 1, row["status"]: 1, "refused": int(row["refusal"] is not None), "input": tokens["input"],
                "cache_read": tokens["cacheRead"], "cache_write": tokens["cacheWrite"], "output": tokens["output"],
                "reasoning": tokens["reasoning"], "nano_usd": row["nano_usd"] or 0,
                "unpriced": int(row["nano_usd"] is None), "estimated": row["estimated"],
                "aborted_nano_usd": (row["nano_usd"] or 0) if bad else 0, "saved_nano_usd": row["saved_nano_usd"],
            }
            keys = [("model", row["model"])] + ([("task", row["task_id"])] if row["task_id"] else [])
            for tag in json.loads(row["tags"]):
                keys.append(("tag", tag))
                connection.execute("INSERT INTO call_tags (tag, call_id) VALUES (?, ?)", [tag, row["id"]])
            added = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
            for kind, name in keys:
                values = [kind, row["started_at"] // DAY, row["agent"] or "", row["project"] or "", name]
                connection.execute(
                    f"INSERT INTO cost_sums (kind, day, agent, project, name, {', '.join(SUMS)}) "
                    f"VALUES ({', '.join('?' * (5 + len(SUMS)))}) "
                    f"ON CONFLICT (kind, day, agent, project, name) DO UPDATE SET {added}",
                    values + [sums.get(name, 0) for name in SUMS],
                )
    connection.close()


def month(now, seed=1):
    """A fleet's calls of thirty days, some of which went wrong; the newest one fell back to another provider."""
    chance = random.Random(seed)
    calls = []
    for day in range(29):  # within the last 30 days whatever the hour
        for _ in range(chance.randint(2, 12)):
            model = chance.choices(list(PRICES), [6, 3, 1])[0]
            calls.append(
                call(
                    now - day * DAY - chance.randrange(60_000_000, 3_600_000_000),
                    agent=chance.choices(AGENTS, [6, 4, 3, 2, 2, 1, 1])[0],
                    model=model,
                    status=chance.choices(["done", "failed", "canceled"], [18, 1, 1])[0],
                    task_id=chance.choice([None, "task_" + "1" * 32, "task_" + "2" * 32]),
                    tags=chance.choice(["[]", '["nightly"]', '["nightly","batch"]']),
                    tokens={"input": chance.randrange(200, 90_000), "output": chance.randrange(20, 4_000)},
                )
            )
    odd = call(now - 5_000_000, status="failed", failure="rate_limited", http_status=429, attempts="[]", nano_usd=None,
               price_from=None, estimated=1)
    refused = call(
        now - 4_000_000, agent="critic", model="gpt-4.1", status="failed", failure="budget_exceeded", http_status=402,
        nano_usd=0, target=None, attempts="[]", buckets=json.dumps(dict.fromkeys(
            ["input", "cacheRead", "cacheWrite", "output", "reasoning"], 0)),
        refusal=json.dumps({"scope": "agent:critic", "code": "budget_exceeded",
                            "detail": "Of $1.00 a day $1.00 is spent; ask an operator to raise it."}))
    begun = now - 3_000_000
    mini, haiku = TARGETS["gpt-4o-mini"], TARGETS["claude-haiku-4-5"]
    last = call(
        begun, model="claude-haiku-4-5", duration_ms=848,
        attempts=json.dumps([
            {"target": mini, "startedAt": moment(begun + 1_000), "durationMs": 30, "status": 500,
             "failure": "server_error", "costNanoUSD": None},
            {"target": haiku, "startedAt": moment(begun + 34_000), "durationMs": 812,
             "status": 200, "failure": None, "costNanoUSD": 3_000_000}]),
        holds=json.dumps([{"scope": "org", "nanoUSD": 9_000_000, "tokens": None},
                          {"scope": "agent:writer", "nanoUSD": 9_000_000, "tokens": None}]),
        cache="miss", task_id="task_" + "1" * 32, tags='["nightly"]',
        decision=json.dumps({
            "candidates": [{"target": mini, "breaker": "closed"},
                           {"target": haiku, "breaker": "closed"}],
            "steps": [
                {"at": moment(begun + 1_000), "kind": "attempt", "target": mini, "reason": "first_choice"},
                {"at": moment(begun + 31_000), "kind": "failure", "target": mini, "failure": "server_error"},
                {"at": moment(begun + 34_000), "kind": "attempt", "target": haiku, "reason": "next_target"},
            ]}))
    return calls + [odd, refused, last]
