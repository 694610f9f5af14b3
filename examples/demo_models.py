#!/usr/bin/env python3
"""Prints the settings of the demo's models, for `reeve serve --config`.

The models are asked at OpenAI or Anthropic where OPENAI_API_KEY or ANTHROPIC_API_KEY is in the environment, in that
order, and else of the scripted model within Reeve, which needs no key and costs nothing. The settings name the variable:
the key itself is read by `reeve serve` from its own environment, and is neither printed nor stored.
"""

import json
import os
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent / "demo-script.yaml"
# Dollars per million tokens, as the providers listed them when these versions came out.
REAL = {
    "OPENAI_API_KEY": {
        "provider": "openai",
        "model": "gpt-4o-mini-2024-07-18",
        "price": {"input": 0.15, "output": 0.60, "cacheRead": 0.075},
    },
    "ANTHROPIC_API_KEY": {
        "provider": "anthropic",
        "model": "claude-haiku-4-5-20251001",
        "price": {"input": 1, "output": 5, "cacheRead": 0.1, "cacheWrite5m": 1.25, "cacheWrite1h": 2},
    },
}
# The scripted model costs nothing: its prices are there so that there is something to see.
SCRIPTED = {"provider": "scripted", "model": "scripted-2026-01-01", "price": {"input": 3, "output": 15}}
MODELS = {"licence-reader": "cheap", "licence-writer": "standard"}


def settings(environment):
    """The sections `providers` and `models`."""
    named = [name for name in REAL if environment.get(name)]
    targets = [REAL[name] for name in named] or [SCRIPTED]
    providers = {
        REAL[name]["provider"]: {"kind": REAL[name]["provider"], "apiKeyEnvironment": name} for name in named
    } or {"scripted": {"kind": "scripted", "script": str(SCRIPT)}}
    return {
        "providers": providers,
        "models": {name: {"tier": tier, "targets": targets} for name, tier in MODELS.items()},
    }


if __name__ == "__main__":
    print(json.dumps(settings(os.environ), indent=2))
