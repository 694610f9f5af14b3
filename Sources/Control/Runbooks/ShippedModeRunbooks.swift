/// A runbook for each mode of failure, for incidents whose alert has none of its own.
extension ShippedRunbooks {
    /// What agents run on.
    static let infrastructureModes = [
        """
        name: llm-outage
        title: A provider of models is out
        mode: llm-outage
        summary: >-
          Fall back where a model of the same tier is well, open the breaker, pause dispatch of tasks that have nothing
          to fall back on, ramp back. Where all is well but one agent's calls, that agent is paused.
        diagnosis:
          - {title: Breakers, query: "max by (model, target) (reeve_model_breaker_state)"}
          - {title: Models and targets, api: /api/v1/models}
        actions:
          - {action: useFallback}
          - {action: openBreaker}
          - {action: pauseDispatch}
          - {action: pauseAgent}
        verify:
          - title: Nine of ten calls are answered, by whoever answers them
            query: >-
              sum(rate(reeve_model_calls_total{status="done"}[5m])) / sum(rate(reeve_model_calls_total[5m]))
            expect: ">= 0.9"
        verifyWithin: 1h
        checks:
          - Take the containments back once the provider is well; tasks come back in steps
          - Put a second provider behind each model (one after the other, a local model last)
        """,
        """
        name: model-degradation
        title: A model answers late, or badly
        mode: model-degradation
        summary: Open the breaker on latency and quality, and let another model answer.
        diagnosis:
          - title: How long calls take
            query: >-
              histogram_quantile(0.95, sum by (le, model)
              (rate(reeve_model_call_duration_seconds_bucket[10m])))
          - title: How judges score answers
            query: >-
              histogram_quantile(0.5, sum by (le, model) (rate(reeve_gateway_judge_score_bucket[1h])))
          - {title: Models and targets, api: /api/v1/models}
        actions:
          - {action: useFallback}
          - {action: openBreaker}
          - {action: pauseAgent}
        verify:
          - title: Calls end within a minute
            query: >-
              histogram_quantile(0.95, sum by (le) (rate(reeve_model_call_duration_seconds_bucket[5m])))
            expect: "< 60"
        verifyWithin: 30m
        checks:
          - Set the breaker's limits for latency and quality on the model
          - Compare answers of before and now on the same questions
        """,
        """
        name: memory-corruption
        title: What an agent remembers is damaged
        mode: memory-corruption
        summary: Make memory read-only, look at what was written at last, and restore it to a point before.
        diagnosis:
          - title: Operations on memory
            query: >-
              sum by (operation, status) (rate(agent_memory_operations_total[1h]))
          - {title: What the agent logged, logs: "agent={{agent}}&limit=30"}
          - {title: Its newest traces, traces: "agent={{agent}}&limit=10"}
        actions:
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
        verify:
          - title: It writes nothing
            query: >-
              sum(increase(agent_memory_operations_total{agent="{{agent}}",operation="write"}[2m]))
            expect: "<= 0"
        verifyAfter: 2m
        checks:
          - Make the memory store read-only and restore it by hand, as Reeve does not hold memory yet
          - Name the write that did the damage; writes go in transactions from then on
          - Check the integrity of what other agents share with it
        """,
    ]

    /// What agents do with all of them in order.
    static let behaviouralModes = [
        """
        name: infinite-loop
        title: An agent goes round in circles
        mode: infinite-loop
        summary: Hold the task with the evidence, kill the process, give the task to another.
        diagnosis:
          - {title: Runs that are held, api: /api/v1/loops}
          - {title: What it has in hand, tasks: "agent={{agent}}&limit=20"}
          - title: Tokens that it uses
            query: >-
              sum by (type) (rate(agent_tokens_consumed_total{agent="{{agent}}"}[5m]))
        actions:
          - action: holdTask
            parameters:
              agents: "{{agents}}"
              tasks: "{{tasks}}"
              evidence: "it goes round in circles"
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
          - {action: killProcess, parameters: {agents: "{{agents}}", tasks: "{{tasks}}"}}
          - {action: reassign, parameters: {tasks: "{{tasks}}"}}
        verify:
          - title: It uses no more tokens
            query: >-
              sum(increase(agent_tokens_consumed_total{agent="{{agent}}"}[2m]))
            expect: "<= 0"
        verifyAfter: 2m
        checks:
          - Let the task go on at another agent once its input was looked at
          - Set a budget of tokens, a limit of steps and a timeout on the type of task
        """,
        """
        name: cascading-failure
        title: A bad result spoils what builds on it
        mode: cascading-failure
        summary: Hold what is downstream, name the agent that it began with, and have its results made anew.
        diagnosis:
          - {title: Tasks that were set aside, tasks: "status=held&limit=30"}
          - {title: Tasks that failed, tasks: "status=failed&limit=30"}
          - {title: Verdicts on its results, query: 'sum by (agent, verdict) (increase(agent_reviews_total[1h]))'}
        actions:
          - {action: holdDownstream}
          - {action: pauseAgent}
        verify:
          - title: Nothing further fails
            query: >-
              sum(increase(agent_tasks_finished_total{status=~"failed|skipped"}[2m]))
            expect: "<= 0"
        verifyAfter: 3m
        checks:
          - Read the first bad deliverable, and reject it
          - Retry what was built on it, the nearest first
          - Have deliverables checked by schema or review before others build on them
        """,
        """
        name: stale-context
        title: An agent works from what is true no more
        mode: stale-context
        summary: Clear the agent's context, and reprocess with fresh data.
        diagnosis:
          - title: How full contexts are
            query: >-
              max by (agent, model) (agent_context_utilization_ratio{agent="{{agent}}"})
          - {title: Its sessions, api: "/api/v1/sessions?agent={{agent}}&limit=10"}
        actions:
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
        verify:
          - title: Contexts have room
            query: >-
              max by (agent) (agent_context_utilization_ratio{agent="{{agent}}"})
            expect: "<= 0.9"
        checks:
          - Start its session anew by hand, as Reeve does not hold contexts yet
          - Retry the tasks that were worked on with the old data
          - Give cached context a time to live, and refresh memory in turns
        """,
        """
        name: context-poisoning
        title: Something put into a conversation spoils what follows
        alerts: [ContextPoisoning]
        mode: context-poisoning
        summary: Set the session apart, restore the context to before, and check the input.
        diagnosis:
          - title: Which sessions have signs of it
            query: 'max by (session) (agent_session_injection_signs{agent="{{agent}}"})'
          - {title: Its sessions, api: "/api/v1/sessions?agent={{agent}}&limit=10"}
          - {title: What it logged, logs: "agent={{agent}}&limit=30"}
          - {title: Its newest traces, traces: "agent={{agent}}&limit=10"}
        actions:
          - {action: quarantineAgent, parameters: {agents: "{{agents}}"}}
        verify:
          - title: It makes no more calls
            query: >-
              sum(increase(agent_tokens_consumed_total{agent="{{agent}}"}[2m]))
            expect: "<= 0"
        verifyAfter: 2m
        checks:
          - End the session by hand and begin it anew, as Reeve does not hold contexts yet
          - Name what was put in, and through which door it came
          - Look whether it was passed on to other agents
        """,
        """
        name: silent-drift
        title: Answers get worse without any change
        mode: silent-drift
        summary: Run the golden set, and pin back to the version that still got it right.
        diagnosis:
          - {title: Verdicts by agent, query: "sum by (agent, verdict) (increase(agent_reviews_total[1d]))"}
          - title: How judges score answers
            query: >-
              histogram_quantile(0.5, sum by (le, model) (rate(reeve_gateway_judge_score_bucket[1d])))
          - {title: The agent and its versions, api: "/api/v1/agents/{{agent}}"}
        checks:
          - Run the golden tasks by hand, as Reeve does not run golden sets yet
          - Pin the agent back to the version that got them right (action pinBack)
          - Ask the provider whether the model changed
        """,
        """
        name: budget-runaway
        title: Money goes faster than it should
        mode: budget-runaway
        summary: Cut the budget where it stands, and find what it went into.
        diagnosis:
          - {title: Who spends, query: "topk(10, sum by (agent) (increase(agent_cost_usd_total[1h])))"}
          - {title: What is left of budgets, query: "min by (scope) (reeve_budget_remaining_ratio)"}
          - {title: Costs by agent, api: "/api/v1/costs?by=agent"}
        actions:
          - {action: cutBudget, parameters: {scopes: "{{scopes}}"}}
        verify:
          - title: It spends nothing more
            query: >-
              sum(increase(agent_cost_usd_total{agent="{{agent}}"}[2m]))
            expect: "<= 0"
        verifyAfter: 3m
        checks:
          - Say what was bought with it
          - Give the scope a budget that would have ended it sooner
        """,
    ]
}
