/// The runbooks that Reeve ships: one for each alert that it ships, and one for each mode of failure. Their steps are
/// the responses and preventions of the two guides that Reeve follows.
enum ShippedRunbooks {
    static let sources =
        agents + models + behaviour + quality + house + secrets + infrastructureModes + behaviouralModes

    /// Agents, tasks and queues.
    static let agents = [
        """
        name: AgentDown
        title: An agent is silent
        alerts: [AgentDown]
        summary: Nothing was heard of an agent for half an hour. Its tasks go to others once their leases ran out.
        diagnosis:
          - title: When it was heard of last
            query: 'time() - max by (agent) (agent_last_heartbeat_timestamp_seconds{agent="{{agent}}"})'
          - {title: The agent as the registry has it, api: "/api/v1/agents/{{agent}}"}
          - {title: What it had in hand, tasks: "agent={{agent}}&limit=20"}
          - {title: Its last words, logs: "agent={{agent}}&limit=20"}
        actions:
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
          - {action: reassign, parameters: {tasks: "{{tasks}}"}}
        verify:
          - title: It is heard of again
            query: 'time() - max by (agent) (agent_last_heartbeat_timestamp_seconds{agent="{{agent}}"})'
            expect: "<= 1800"
        checks:
          - Start the agent's program again on its host
          - If it is not to come back, remove the agent and resolve the incident
          - Look whether other agents of the same host are silent too
        """,
        """
        name: TaskStuck
        title: A task is in progress for more than four hours
        alerts: [TaskStuck]
        mode: infinite-loop
        summary: >-
          A task that does not end holds its agent, its lease and all that waits for it. It is set aside and given to
          another; what else its agent has in hand goes on.
        diagnosis:
          - {title: The task, api: "/api/v1/tasks/{{task}}"}
          - {title: Tasks of the type that run, tasks: "type={{task_type}}&status=running&limit=20"}
          - title: How long such tasks take as a rule
            query: >-
              histogram_quantile(0.95, sum by (le)
              (rate(agent_task_duration_seconds_bucket{task_type="{{task_type}}"}[6h])))
          - {title: Errors of the last hour, logs: "level=error&limit=20"}
        actions:
          - action: holdTask
            parameters:
              tasks: "{{tasks}}"
              evidence: "in progress for more than four hours"
          - {action: killProcess, parameters: {tasks: "{{tasks}}"}}
          - {action: reassign, parameters: {tasks: "{{tasks}}"}}
        verify:
          - title: No task of the type is older than four hours
            query: >-
              max(agent_task_oldest_in_progress_seconds{task_type="{{task_type}}"}) or 0 * max(reeve_agents)
            expect: "<= 14400"
        checks:
          - Read the task's trace, and say whether it moved in the last hour
          - Give the type a timeout and a limit of steps, so that the next one ends by itself
        """,
        """
        name: QueueBackup
        title: A queue piles up
        alerts: [QueueBackup]
        summary: More than ten tasks wait for an hour. There are too few agents, a pause, or a capability nobody has.
        diagnosis:
          - {title: How the queue stands, query: 'max by (queue, state) (agent_queue_depth{queue="{{queue}}"})'}
          - {title: What waits, tasks: "queue={{queue}}&status=ready&limit=20"}
          - {title: Agents by what they do, query: "max by (status) (reeve_agents)"}
          - {title: Models and their breakers, api: /api/v1/models}
        actions:
          - {action: resumeAgent, parameters: {agents: "{{paused}}"}}
        verify:
          - title: Ten tasks wait at most
            query: 'max by (queue) (agent_queue_depth{queue="{{queue}}",state="unassigned"})'
            expect: "<= 10"
        verifyWithin: 1h
        checks:
          - Ask of one task why nobody takes it (reeve tasks explain), and take that away
          - Start further agents, or hold what can wait
        """,
        """
        name: HighErrorRate
        title: A fifth of an agent's calls fails
        alerts: [HighErrorRate]
        mode: llm-outage
        summary: >-
          The agent goes on and brings nothing. Where what it calls is out, another model of the same tier answers; else
          the agent is isolated, and the others are left alone.
        diagnosis:
          - {title: Which failures, query: 'sum by (class) (rate(reeve_model_call_errors_total[10m]))'}
          - {title: Its calls of late, api: "/api/v1/calls?agent={{agent}}&limit=20"}
          - {title: Its errors, logs: "agent={{agent}}&level=error&limit=20"}
          - {title: Traces that failed, traces: "agent={{agent}}&status=error&limit=10"}
        actions:
          - {action: useFallback}
          - {action: pauseAgent}
        verify:
          - title: Of its calls a fifth fails at most
            query: >-
              sum(increase(reeve_model_calls_total{agent="{{agent}}",status="failed"}[5m]))
              / sum(increase(reeve_model_calls_total{agent="{{agent}}"}[5m]))
            expect: "<= 0.2"
        verifyWithin: 30m
        checks:
          - Say whether the provider, a tool or the agent itself fails
          - If it began with a release, go back to the one before
        """,
        """
        name: ErrorRateSpike
        title: Errors rise beyond what is usual
        alerts: [ErrorRateSpike]
        mode: model-degradation
        summary: Something changed. Find what fails together, and what changed just before.
        diagnosis:
          - {title: Errors by class, query: 'sum by (class) (rate(reeve_model_call_errors_total[10m]))'}
          - {title: Errors by target, query: 'sum by (target, result) (rate(reeve_model_attempts_total[10m]))'}
          - {title: What changed, api: "/api/v1/events?limit=50"}
          - {title: Traces that failed, traces: "status=error&limit=10"}
        actions:
          - {action: useFallback}
          - {action: openBreaker, parameters: {models: "{{models}}"}}
        verify:
          - title: Of the model's calls a twentieth fails at most, whoever answers them
            query: >-
              sum(increase(reeve_model_calls_total{model="{{model}}",status="failed"}[5m]))
              / sum(increase(reeve_model_calls_total{model="{{model}}"}[5m]))
            expect: "<= 0.05"
        verifyWithin: 30m
        checks:
          - Name the change that it began with, in the incident's notes
        """,
    ]

    /// Models and money.
    static let models = [
        """
        name: ProviderOutage
        title: A provider of models is out
        alerts: [ProviderOutage]
        mode: llm-outage
        summary: >-
          Another model of the same tier answers where there is one; dispatch of what has none is paused, and the
          breakers are open. Then all ramps back.
        diagnosis:
          - {title: Breakers, query: "max by (model, target) (reeve_model_breaker_state)"}
          - {title: Failures by target, query: "sum by (target, result) (rate(reeve_model_attempts_total[5m]))"}
          - {title: Models and targets, api: /api/v1/models}
          - {title: Tasks that wait, tasks: "status=ready&limit=20"}
        actions:
          - {action: useFallback}
          - {action: openBreaker, parameters: {providers: "{{providers}}"}}
          - {action: pauseDispatch}
        stop:
          - {title: No breaker is open any more, query: "max(reeve_model_breaker_state)", expect: "== 0"}
        verify:
          - title: Nine of ten calls are answered, by whoever answers them
            query: >-
              sum(rate(reeve_model_calls_total{status="done"}[5m])) / sum(rate(reeve_model_calls_total[5m]))
            expect: ">= 0.9"
        verifyWithin: 1h
        checks:
          - Read the provider's status page, and note when it says that it is well
          - Take the containments back; tasks come back in steps
          - Give each model a second provider, so that the next outage needs nobody
        """,
        """
        name: ModelTimeouts
        title: Model calls bring nothing in time
        alerts: [ModelTimeouts]
        mode: model-degradation
        summary: The provider answers late. Leave the slow target alone and let another answer.
        diagnosis:
          - title: How long calls take
            query: >-
              histogram_quantile(0.95, sum by (le, model)
              (rate(reeve_model_call_duration_seconds_bucket[10m])))
          - {title: Failures by target, query: "sum by (target, result) (rate(reeve_model_attempts_total[10m]))"}
          - {title: Models and targets, api: /api/v1/models}
        actions:
          - {action: useFallback}
          - {action: openBreaker, parameters: {providers: "{{providers}}"}}
        verify:
          - title: Of all exchanges nineteen in twenty bring something in time, whoever answers
            query: >-
              sum(increase(reeve_model_attempts_total{result=~"silent|stalled"}[5m]))
              / sum(increase(reeve_model_attempts_total[5m]))
            expect: "<= 0.05"
        verifyWithin: 30m
        checks:
          - Set a breaker's limit for latency on the model, so that it opens by itself
        """,
        """
        name: CostSpike
        title: A day costs more than twice what is usual
        alerts: [CostSpike]
        mode: budget-runaway
        summary: Find who spends, end it there, and see whether the work was worth it.
        diagnosis:
          - {title: Who spends, query: "topk(10, sum by (agent) (increase(agent_cost_usd_total[1h])))"}
          - {title: On which models, query: "topk(10, sum by (model) (increase(agent_cost_usd_total[1h])))"}
          - title: Calls that are repeated
            query: >-
              topk(10, sum by (agent) (rate(agent_tool_repeat_calls_total[10m])))
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
          - Say what was bought with it, in accepted deliverables
          - Give each task a budget, and agents a daily one
        """,
    ]

    /// What agents do.
    static let behaviour = [
        """
        name: ContextExhaustion
        title: Contexts are nearly full
        alerts: [ContextExhaustion]
        mode: stale-context
        summary: >-
          An agent whose context is full forgets what it was told first. Clear it, and reprocess with fresh
          data.
        diagnosis:
          - title: How full contexts are
            query: >-
              max by (agent, model) (agent_context_utilization_ratio{agent="{{agent}}"})
          - title: Turns of its sessions
            query: >-
              histogram_quantile(0.95, sum by (le)
              (rate(agent_turns_per_session_bucket{agent="{{agent}}"}[1h])))
          - {title: Its sessions, api: "/api/v1/sessions?agent={{agent}}&limit=10"}
        actions:
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
        verify:
          - title: Contexts have room
            query: >-
              max by (agent) (agent_context_utilization_ratio{agent="{{agent}}"})
            expect: "<= 0.9"
        verifyWithin: 30m
        checks:
          - Start the agent's session anew with a summary, by hand, as Reeve does not hold contexts yet
          - Give cached context a time to live
        """,
        """
        name: SessionAbnormal
        title: Sessions last much longer than usual
        alerts: [SessionAbnormal]
        mode: infinite-loop
        summary: >-
          A conversation that goes on and on is a loop, or something was put into it that keeps it going. The agent is
          stopped before it spreads.
        diagnosis:
          - title: How long sessions are
            query: >-
              histogram_quantile(0.95, sum by (le, agent) (rate(agent_session_duration_seconds_bucket[1h])))
          - {title: Its sessions, api: "/api/v1/sessions?agent={{agent}}&limit=10"}
          - {title: What it logged, logs: "agent={{agent}}&limit=30"}
        actions:
          - action: holdTask
            parameters: {agents: "{{agents}}", evidence: "sessions that last much longer than usual"}
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
        verify:
          - title: Sessions last three times as long as usual at most
            query: >-
              histogram_quantile(0.95, sum by (le)
              (rate(agent_session_duration_seconds_bucket{agent="{{agent}}"}[15m])))
              / histogram_quantile(0.95, sum by (le)
              (rate(agent_session_duration_seconds_bucket{agent="{{agent}}"}[7d])))
            expect: "<= 3"
        verifyWithin: 1h
        checks:
          - Read the session's transcript from its first odd turn on, and name what was put in
          - Check the input at the door that it came through
        """,
        """
        name: ToolStorm
        title: An agent calls a tool again and again
        alerts: [ToolStorm]
        mode: infinite-loop
        summary: >-
          The same call with the same words, and nothing changes by it. Hold the task with the evidence, end it, and
          give it to another.
        diagnosis:
          - title: Repeated calls by tool
            query: >-
              sum by (tool) (rate(agent_tool_repeat_calls_total{agent="{{agent}}"}[5m]))
          - {title: Runs that are held already, api: /api/v1/loops}
          - {title: What it has in hand, tasks: "agent={{agent}}&limit=20"}
          - {title: Its newest traces, traces: "agent={{agent}}&limit=10"}
        actions:
          - {action: holdTask, parameters: {agents: "{{agents}}", evidence: "a storm of tool calls"}}
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
          - {action: killProcess, parameters: {agents: "{{agents}}"}}
          - {action: reassign, parameters: {tasks: "{{tasks}}"}}
        verify:
          - title: No call is repeated
            query: >-
              sum(rate(agent_tool_repeat_calls_total{agent="{{agent}}"}[1m]))
            expect: "<= 0"
        verifyAfter: 2m
        checks:
          - Name the tool's answer that the agent could not use
          - Set a limit of steps and of tokens on the type of task
        """,
    ]

    /// Memory, telemetry, and Reeve itself.
    static let house = [
        """
        name: MemoryStoreSlow
        title: Memory answers late
        alerts: [MemoryStoreSlow]
        summary: Agents wait for what they remember. The store is slow, full, or asked too much.
        diagnosis:
          - title: How long operations take
            query: >-
              histogram_quantile(0.99, sum by (le, operation)
              (rate(agent_memory_operation_duration_seconds_bucket[10m])))
          - {title: Who asks, query: "topk(10, sum by (agent) (rate(agent_memory_operations_total[10m])))"}
          - {title: Which fail, query: "sum by (operation, status) (rate(agent_memory_operations_total[10m]))"}
        verify:
          - title: Ninety-nine of a hundred operations take half a second at most
            query: >-
              max(histogram_quantile(0.99, sum by (le, operation)
              (rate(agent_memory_operation_duration_seconds_bucket[10m]))))
            expect: "<= 0.5"
        verifyWithin: 30m
        checks:
          - Look at the memory store's own disk, connections and load
          - Pause the agent that asks most, if the store does not recover
        """,
        """
        name: TelemetryLoss
        title: Records of agents are lost
        alerts: [TelemetryLoss]
        summary: What is not recorded cannot be looked into. Find who sends too much, or what cannot be read.
        diagnosis:
          - title: What was rejected and shed
            query: sum by (signal, outcome) (increase(reeve_telemetry_records_total[1h]))
          - {title: The ledger of what came in, api: /api/v1/telemetry/ledger}
        verify:
          - title: Nothing was rejected or shed for ten minutes
            query: >-
              sum(increase(reeve_telemetry_records_total{outcome=~"rejected|shed"}[10m]))
            expect: "<= 0"
        verifyWithin: 30m
        checks:
          - Lower the sender's rate, or raise the quota of the telemetry store
          - Note in the incident for which time the records are not whole
        """,
        """
        name: TracesNotKept
        title: Traces with errors could not be kept
        alerts: [TracesNotKept]
        summary: More failed than may be marked as evidence.
        diagnosis:
          - {title: The newest traces, traces: "limit=20"}
          - {title: Failures by class, query: "sum by (class) (rate(reeve_model_call_errors_total[1h]))"}
        verify:
          - title: All that failed in the last ten minutes is kept
            query: >-
              max(increase(reeve_telemetry_unkept_traces_total[10m]))
            expect: "<= 0"
        verifyWithin: 1h
        checks:
          - End what fails so often, or put a hold on the time that is to be kept
        """,
        """
        name: FleetPaused
        title: All of the fleet is paused
        alerts: [FleetPaused]
        summary: Somebody paused every agent. It keeps AgentDown quiet.
        diagnosis:
          - {title: Agents by status, query: "max by (status) (reeve_agents)"}
          - {title: Who paused them, api: "/api/v1/events?limit=50"}
        verify:
          - title: Somebody works, or waits for work
            query: 'sum(max by (status) (reeve_agents{status=~"idle|busy|waiting"}))'
            expect: "> 0"
        checks:
          - Resume the agents once what they were paused for is over
        """,
        """
        name: AlertEvaluationStalled
        title: Rules are not evaluated
        alerts: [AlertEvaluationStalled]
        summary: >-
          No round of rules came to its end for three minutes, so no rule tells of anything. What others post, and what
          fires already, is told all the same.
        diagnosis:
          - {title: Reeve's own errors, logs: "level=error&limit=30"}
          - title: Seconds since each group was evaluated
            query: time() - max by (rule_group) (reeve_rule_group_last_evaluation_timestamp_seconds)
          - title: Groups that took longest
            query: topk(10, max by (rule_group) (reeve_rule_group_last_duration_seconds))
        verify:
          - title: A group was evaluated within the last three minutes
            query: time() - max(reeve_rule_group_last_evaluation_timestamp_seconds)
            expect: "<= 180"
        verifyWithin: 30m
        checks:
          - Look whether the disk has room, and whether the database answers
          - Look for a rule that asks too much, by how long its group took, and take it out
          - Start the process again where its loop does not go on
        """,
        """
        name: Watchdog
        title: Alerts reach their receiver
        alerts: [Watchdog]
        summary: It always fires. If it does not arrive, alerts do not.
        diagnosis:
          - {title: It fires, query: "vector(1)", expect: present}
        checks:
          - Look whether the receiver's dead man's switch has heard of it within its time
        """,
    ]
}
