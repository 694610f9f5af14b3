/// Runbooks for answers, deliverables, budgets and postmortems.
extension ShippedRunbooks {
    static let quality = [
        """
        name: CascadingFailure
        title: What one agent got wrong lets others fail
        alerts: [CascadingFailure]
        mode: cascading-failure
        summary: Tasks fail that build on others. The first thing to know is where it began.
        diagnosis:
          - {title: Tasks that failed of late, tasks: "status=failed&limit=20"}
          - title: Deliverables that were rejected
            query: 'sum by (agent) (increase(agent_reviews_total{verdict="reject"}[1h]))'
          - {title: Errors of the last hour, logs: "level=error&limit=20"}
        actions:
          - {action: holdDownstream}
          - {action: pauseAgent}
        verify:
          - title: Of the tasks that end, four in ten fail at most
            query: >-
              sum(increase(agent_tasks_finished_total{status=~"failed|skipped"}[5m]))
              / sum(increase(agent_tasks_finished_total{status!="canceled"}[5m]))
            expect: "<= 0.4"
        checks:
          - Find the first wrong deliverable of the chain, and have it made anew
          - Put a review, or a schema, before what others build on
        """,
        """
        name: DeliverablesRejected
        title: An agent's deliverables are rejected
        alerts: [DeliverablesRejected]
        mode: cascading-failure
        summary: Reviewers turn down more of an agent's work than is usual for it.
        diagnosis:
          - title: Verdicts of the last six hours
            query: 'sum by (verdict) (increase(agent_reviews_total{agent="{{agent}}"}[6h]))'
          - {title: Its tasks, tasks: "agent={{agent}}&limit=20"}
        actions:
          - {action: holdDownstream}
          - {action: pauseAgent}
        verify:
          - title: Half of the verdicts are against its deliverables at most
            query: >-
              sum(increase(agent_reviews_total{agent="{{agent}}",verdict=~"changes|reject"}[30m]))
              / sum(increase(agent_reviews_total{agent="{{agent}}"}[30m]))
            expect: "<= 0.5"
        verifyWithin: 2h
        checks:
          - Read what reviewers wrote, and whether prompt, model or tools changed before
          - Add the rejected cases to what is tried before a change
        """,
        """
        name: ModelSlow
        title: A model answers slowly
        alerts: [ModelSlow]
        mode: model-degradation
        summary: A model's calls take several times as long as they used to. Another of its tier answers meanwhile.
        diagnosis:
          - title: 95th percentile of ten minutes
            query: >-
              histogram_quantile(0.95, sum by (model, le)
              (rate(reeve_model_call_duration_seconds_bucket{model="{{model}}"}[10m])))
          - {title: Targets and breakers, api: "/api/v1/models/{{model}}"}
        actions:
          - {action: useFallback}
          - {action: openBreaker, parameters: {models: "{{models}}"}}
        verify:
          - title: Its calls take three times as long as on the day before at most
            query: >-
              histogram_quantile(0.95, sum by (le, model)
              (rate(reeve_model_call_duration_seconds_bucket{model="{{model}}",status="done"}[5m])))
              / model:reeve_model_call_duration_seconds:p95_1d{model="{{model}}"}
            expect: "<= 3"
        checks:
          - Look at the provider's status page
          - Let another model of the same tier answer, if agents cannot wait
        """,
        """
        name: BreakerFlapping
        title: A target's breaker opens again and again
        alerts: [BreakerFlapping]
        mode: model-degradation
        summary: >-
          A provider fails now and then. Each opening costs the calls before it. Another model of the
          tier answers until it lasts.
        diagnosis:
          - title: Openings of an hour
            query: 'sum by (model, target) (increase(reeve_model_breaker_openings_total{model="{{model}}"}[1h]))'
          - {title: Targets and breakers, api: "/api/v1/models/{{model}}"}
        actions:
          - {action: useFallback}
        verify:
          - title: It did not open for ten minutes
            query: >-
              sum(increase(reeve_model_breaker_openings_total{model="{{model}}"}[10m]))
            expect: "<= 0"
        checks:
          - Look at what the failures have in common, and at the provider's rate limits
          - Put another target first until it is over
        """,
        """
        name: AnswerQualityDrop
        title: Answers get worse
        alerts: [AnswerQualityDrop]
        summary: Judges score a model's answers lower than they did. Nobody may have changed anything.
        diagnosis:
          - title: Median score of six hours
            query: >-
              histogram_quantile(0.5, sum by (model, le)
              (rate(reeve_gateway_judge_score_bucket{model="{{model}}"}[6h])))
          - {title: The model, api: "/api/v1/models/{{model}}"}
        verify:
          - title: Judges score the last hour's answers a tenth lower than the week's at most
            query: >-
              sum(increase(reeve_gateway_judge_score_sum{model="{{model}}"}[1h]))
              / sum(increase(reeve_gateway_judge_score_count{model="{{model}}"}[1h]))
              - sum(increase(reeve_gateway_judge_score_sum{model="{{model}}"}[7d]))
              / sum(increase(reeve_gateway_judge_score_count{model="{{model}}"}[7d]))
            expect: ">= -0.1"
        checks:
          - Ask the same of a dated model, and compare
          - Pin the model's version, if it was not
        """,
        """
        name: BudgetRunaway
        title: A budget is used up long before its time
        alerts: [BudgetRunaway]
        summary: Money goes faster than it should. What is spent cannot be had back, what is not can be kept.
        diagnosis:
          - {title: What costs most, query: 'topk(5, sum by (agent, model) (increase(agent_cost_usd_total[1h])))'}
          - {title: Budgets, api: "/api/v1/budgets?limit=50"}
          - {title: Runs that are held, api: "/api/v1/loops"}
        actions:
          - {action: cutBudget, parameters: {scopes: "{{scopes}}"}}
        verify:
          - title: Nothing more of it is spent
            query: >-
              max(delta(reeve_budget_spent{scope="{{scope}}"}[2m]))
            expect: "<= 0"
        verifyAfter: 3m
        checks:
          - Look whether the agent went in circles, or whether there is simply more to do
          - Give the agent a budget of its own, if it has none
        """,
        """
        name: MemoryErrors
        title: Operations on memory fail
        alerts: [MemoryErrors]
        mode: memory-corruption
        summary: >-
          Agents cannot read or write what they remember, or find it damaged. Who cannot is stopped
          before it writes on what is wrong.
        diagnosis:
          - title: Operations of ten minutes by status
            query: 'sum by (operation, status) (increase(agent_memory_operations_total{agent="{{agent}}"}[10m]))'
          - {title: Errors of the last hour, logs: "level=error&limit=20"}
        actions:
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
        verify:
          - title: Of its operations a tenth fails at most
            query: >-
              sum(increase(agent_memory_operations_total{agent="{{agent}}",status="failure"}[5m]))
              / sum(increase(agent_memory_operations_total{agent="{{agent}}"}[5m]))
            expect: "<= 0.1"
        verifyWithin: 1h
        checks:
          - Look whether the store of memory answers, and has room
          - Compare what was read with the last backup before anything is written again
        """,
        """
        name: ToolTimeouts
        title: A tool's server does not answer
        alerts: [ToolTimeouts]
        summary: Calls of a tool run out of time, whoever makes them.
        diagnosis:
          - title: Calls of ten minutes by agent and status
            query: 'sum by (agent, status) (increase(agent_tool_calls_total{tool="{{tool}}"}[10m]))'
          - {title: Errors of the last hour, logs: "level=error&limit=20"}
        actions:
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
        verify:
          - title: No call of it runs out of time
            query: >-
              sum(increase(agent_tool_calls_total{tool="{{tool}}",status="timeout"}[2m]))
            expect: "<= 0"
        verifyAfter: 2m
        checks:
          - Look at the tool's server, its load and what was deployed there last
          - Pause the agents that cannot work without it until it answers
        """,
        """
        name: PostmortemOverdue
        title: A postmortem is overdue
        alerts: [PostmortemOverdue]
        summary: An incident was resolved more than 48 hours ago, and nobody has written down what is to be learned.
        diagnosis:
          - {title: Incidents that are over, api: "/api/v1/incidents?state=resolved&limit=20"}
        verify:
          - {title: None is overdue, query: 'max(reeve_incident_postmortems_overdue)', expect: "== 0"}
        checks:
          - Publish the draft after a look at it, or say why none is needed
        """,
    ]
}
