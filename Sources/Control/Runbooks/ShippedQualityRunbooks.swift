/// Runbooks for answers, deliverables, budgets and postmortems.
extension ShippedRunbooks {
    static let quality = [
        """
        name: CascadingFailure
        title: What one agent got wrong lets others fail
        alerts: [CascadingFailure]
        summary: Tasks fail that build on others. The first thing to know is where it began.
        diagnosis:
          - {title: Tasks that failed of late, tasks: "status=failed&limit=20"}
          - title: Deliverables that were rejected
            query: 'sum by (agent) (increase(agent_reviews_total{verdict="reject"}[1h]))'
          - {title: Errors of the last hour, logs: "level=error&limit=20"}
        actions:
          - {action: holdDownstream, parameters: {tasks: "{{tasks}}", agents: "{{agents}}"}}
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
        verify:
          - title: The alert is quiet
            query: 'count(ALERTS{alertname="CascadingFailure",alertstate="firing"}) or vector(0)'
            expect: "== 0"
        checks:
          - Find the first wrong deliverable of the chain, and have it made anew
          - Put a review, or a schema, before what others build on
        """,
        """
        name: DeliverablesRejected
        title: An agent's deliverables are rejected
        alerts: [DeliverablesRejected]
        summary: Reviewers turn down more of an agent's work than is usual for it.
        diagnosis:
          - title: Verdicts of the last six hours
            query: 'sum by (verdict) (increase(agent_reviews_total{agent="{{agent}}"}[6h]))'
          - {title: Its tasks, tasks: "agent={{agent}}&limit=20"}
        actions:
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
        verify:
          - title: The alert is quiet
            query: 'count(ALERTS{alertname="DeliverablesRejected",alertstate="firing"}) or vector(0)'
            expect: "== 0"
        checks:
          - Read what reviewers wrote, and whether prompt, model or tools changed before
          - Add the rejected cases to what is tried before a change
        """,
        """
        name: ModelSlow
        title: A model answers slowly
        alerts: [ModelSlow]
        summary: A model's calls take several times as long as they used to.
        diagnosis:
          - title: 95th percentile of ten minutes
            query: >-
              histogram_quantile(0.95, sum by (model, le)
              (rate(reeve_model_call_duration_seconds_bucket{model="{{model}}"}[10m])))
          - {title: Targets and breakers, api: "/api/v1/models/{{model}}"}
        actions: []
        verify:
          - title: The alert is quiet
            query: 'count(ALERTS{alertname="ModelSlow",alertstate="firing"}) or vector(0)'
            expect: "== 0"
        checks:
          - Look at the provider's status page
          - Let another model of the same tier answer, if agents cannot wait
        """,
        """
        name: BreakerFlapping
        title: A target's breaker opens again and again
        alerts: [BreakerFlapping]
        summary: A provider fails now and then. Each opening costs the calls before it.
        diagnosis:
          - title: Openings of an hour
            query: 'sum by (model, target) (increase(reeve_model_breaker_openings_total{model="{{model}}"}[1h]))'
          - {title: Targets and breakers, api: "/api/v1/models/{{model}}"}
        actions: []
        verify:
          - title: The alert is quiet
            query: 'count(ALERTS{alertname="BreakerFlapping",alertstate="firing"}) or vector(0)'
            expect: "== 0"
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
        actions: []
        verify:
          - title: The alert is quiet
            query: 'count(ALERTS{alertname="AnswerQualityDrop",alertstate="firing"}) or vector(0)'
            expect: "== 0"
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
          - title: The alert is quiet
            query: 'count(ALERTS{alertname="BudgetRunaway",alertstate="firing"}) or vector(0)'
            expect: "== 0"
        checks:
          - Look whether the agent went in circles, or whether there is simply more to do
          - Give the agent a budget of its own, if it has none
        """,
        """
        name: MemoryErrors
        title: Operations on memory fail
        alerts: [MemoryErrors]
        summary: Agents cannot read or write what they remember, or find it damaged.
        diagnosis:
          - title: Operations of ten minutes by status
            query: 'sum by (operation, status) (increase(agent_memory_operations_total{agent="{{agent}}"}[10m]))'
          - {title: Errors of the last hour, logs: "level=error&limit=20"}
        actions: []
        verify:
          - title: The alert is quiet
            query: 'count(ALERTS{alertname="MemoryErrors",alertstate="firing"}) or vector(0)'
            expect: "== 0"
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
        actions: []
        verify:
          - title: No call of it runs out of time
            query: 'sum(increase(agent_tool_calls_total{tool="{{tool}}",status="timeout"}[2m])) > 0'
            expect: empty
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
        actions: []
        verify:
          - {title: None is overdue, query: 'max(reeve_incident_postmortems_overdue) or vector(0)', expect: "== 0"}
        checks:
          - Publish the draft after a look at it, or say why none is needed
        """,
    ]
}
