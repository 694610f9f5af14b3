import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control
@testable import Telemetry

/// What shipped runbooks verify by: it fails while the fault is there, holds once all is well, and says nothing where
/// there is nothing to see.
@Suite("Verification of runbooks")
struct RunbookVerificationTests {
    typealias Series = [(name: String, values: String)]

    struct Row: CustomTestStringConvertible, Sendable {
        let names: [String]
        var interval = "1m"
        let ill: Series
        let well: Series
        var testDescription: String { names.joined(separator: ", ") }
    }

    private static func calls(_ status: String) -> String {
        #"reeve_model_calls_total{agent="ann",model="m",status="\#(status)"}"#
    }
    private static func attempts(_ result: String) -> String {
        #"reeve_model_attempts_total{target="main/large",result="\#(result)"}"#
    }
    private static let cost = #"agent_cost_usd_total{agent="ann",agent_type="writer",model="m"}"#
    private static let tokens = #"agent_tokens_consumed_total{agent="ann",model="m",type="input"}"#
    private static let context = #"agent_context_utilization_ratio{agent="ann",model="m"}"#
    private static func lasted(_ bound: String) -> String {
        #"agent_session_duration_seconds_bucket{agent="ann",le="\#(bound)"}"#
    }
    private static func remembered(_ bound: String) -> String {
        #"agent_memory_operation_duration_seconds_bucket{operation="search",le="\#(bound)"}"#
    }
    private static func took(_ bound: String) -> String {
        #"reeve_model_call_duration_seconds_bucket{model="m",status="done",le="\#(bound)"}"#
    }
    private static func ended(_ status: String) -> String {
        #"agent_tasks_finished_total{agent="ann",task_type="draft",status="\#(status)"}"#
    }
    private static func reviews(_ verdict: String) -> String {
        #"agent_reviews_total{agent="ann",verdict="\#(verdict)"}"#
    }
    private static func memory(_ operation: String, _ status: String) -> String {
        #"agent_memory_operations_total{agent="ann",operation="\#(operation)",status="\#(status)"}"#
    }
    private static func scored(_ what: String) -> String { #"reeve_gateway_judge_score_\#(what){model="m"}"# }

    static let rows: [Row] = [
        Row(
            names: ["AgentDown"], ill: [(#"agent_last_heartbeat_timestamp_seconds{agent="ann"}"#, "0x40")],
            well: [(#"agent_last_heartbeat_timestamp_seconds{agent="ann"}"#, "0+60x40")]),
        Row(
            names: ["TaskStuck"],
            ill: [
                (#"agent_task_oldest_in_progress_seconds{task_type="report"}"#, "14400+60x40"),
                (#"reeve_agents{status="busy"}"#, "1x40"),
            ],
            // Once nobody is at such a task there is no series of it, and that of all agents stands for the look.
            well: [(#"reeve_agents{status="busy"}"#, "1x40")]),
        Row(
            names: ["QueueBackup"], ill: [(#"agent_queue_depth{queue="inbox",state="unassigned"}"#, "11x40")],
            well: [(#"agent_queue_depth{queue="inbox",state="unassigned"}"#, "0x40")]),
        Row(
            names: ["HighErrorRate", "ErrorRateSpike"], ill: [(calls("done"), "0+7x40"), (calls("failed"), "0+3x40")],
            well: [(calls("done"), "0+7x40"), (calls("failed"), "90x40")]),
        Row(
            names: ["ProviderOutage", "llm-outage"], ill: [(calls("done"), "9x40"), (calls("failed"), "0+3x40")],
            well: [(calls("done"), "0+9x40"), (calls("failed"), "90x40")]),
        Row(
            names: ["ModelTimeouts"], ill: [(attempts("ok"), "0+9x40"), (attempts("silent"), "0+1x40")],
            well: [(attempts("ok"), "0+9x40"), (attempts("silent"), "9x40")]),
        Row(names: ["CostSpike", "budget-runaway"], ill: [(cost, "0+1x40")], well: [(cost, "40x40")]),
        Row(
            names: ["BudgetRunaway"], ill: [(#"reeve_budget_spent{scope="agent:ann",unit="usd"}"#, "0+1x40")],
            well: [(#"reeve_budget_spent{scope="agent:ann",unit="usd"}"#, "40x40")]),
        Row(names: ["ContextExhaustion", "stale-context"], ill: [(context, "0.97x40")], well: [(context, "0.4x40")]),
        Row(names: ["infinite-loop", "context-poisoning"], ill: [(tokens, "0+9x40")], well: [(tokens, "90x40")]),
        Row(
            names: ["SessionAbnormal"], interval: "5m",
            ill: [
                (lasted("60"), "0+2x600 1200x12"), (lasted("600"), "0+2x600 1200x12"), (lasted("3600"), "0+2x612"),
                (lasted("+Inf"), "0+2x612"),
            ],
            well: [
                (lasted("60"), "0+2x600 1200+2x12"), (lasted("600"), "0+2x600 1200+2x12"), (lasted("3600"), "0+2x612"),
                (lasted("+Inf"), "0+2x612"),
            ]),
        Row(
            names: ["ToolStorm"], ill: [(#"agent_tool_repeat_calls_total{agent="ann",tool="search"}"#, "0+9x40")],
            well: [(#"agent_tool_repeat_calls_total{agent="ann",tool="search"}"#, "90x40")]),
        Row(
            names: ["MemoryStoreSlow"],
            ill: [(remembered("0.5"), "0+9x40"), (remembered("1"), "0+10x40"), (remembered("+Inf"), "0+10x40")],
            well: [(remembered("0.5"), "0+10x40"), (remembered("1"), "0+10x40"), (remembered("+Inf"), "0+10x40")]),
        Row(
            names: ["MemoryErrors"],
            ill: [(memory("read", "success"), "0+3x40"), (memory("read", "failure"), "0+1x40")],
            well: [(memory("read", "success"), "0+3x40"), (memory("read", "failure"), "9x40")]),
        Row(
            names: ["memory-corruption"], ill: [(memory("write", "success"), "0+1x40")],
            well: [(memory("write", "success"), "40x40")]),
        Row(
            names: ["TelemetryLoss"],
            ill: [(#"reeve_telemetry_records_total{signal="logs",outcome="shed"}"#, "0+1x40")],
            well: [(#"reeve_telemetry_records_total{signal="logs",outcome="shed"}"#, "9x40")]),
        Row(
            names: ["TracesNotKept"], ill: [("reeve_telemetry_unkept_traces_total", "0+1x40")],
            well: [("reeve_telemetry_unkept_traces_total", "9x40")]),
        Row(
            names: ["FleetPaused"],
            ill: [(#"reeve_agents{status="busy"}"#, "0x5"), (#"reeve_agents{status="paused"}"#, "3x5")],
            well: [(#"reeve_agents{status="busy"}"#, "1x5"), (#"reeve_agents{status="paused"}"#, "2x5")]),
        Row(
            names: ["CascadingFailure"], ill: [(ended("done"), "0+1x40"), (ended("failed"), "0+1x40")],
            well: [(ended("done"), "0+1x40"), (ended("failed"), "9x40")]),
        Row(names: ["cascading-failure"], ill: [(ended("failed"), "0+1x40")], well: [(ended("failed"), "9x40")]),
        Row(
            names: ["DeliverablesRejected"], ill: [(reviews("approve"), "0+1x40"), (reviews("reject"), "0+3x40")],
            well: [(reviews("approve"), "0+3x40"), (reviews("reject"), "9x40")]),
        Row(
            names: ["ModelSlow"],
            ill: [
                (took("1"), "0x40"), (took("20"), "0+9x40"), (took("+Inf"), "0+9x40"),
                (#"model:reeve_model_call_duration_seconds:p95_1d{model="m"}"#, "1x40"),
            ],
            well: [
                (took("1"), "0+9x40"), (took("20"), "0+9x40"), (took("+Inf"), "0+9x40"),
                (#"model:reeve_model_call_duration_seconds:p95_1d{model="m"}"#, "1x40"),
            ]),
        Row(
            names: ["model-degradation"],
            ill: [(took("30"), "0x40"), (took("300"), "0+9x40"), (took("+Inf"), "0+9x40")],
            well: [(took("30"), "0+9x40"), (took("300"), "0+9x40"), (took("+Inf"), "0+9x40")]),
        Row(
            names: ["BreakerFlapping"],
            ill: [(#"reeve_model_breaker_openings_total{model="m",target="main/large"}"#, "0+1x40")],
            well: [(#"reeve_model_breaker_openings_total{model="m",target="main/large"}"#, "9x40")]),
        Row(
            names: ["AnswerQualityDrop"], interval: "5m",
            ill: [(scored("count"), "0+2x648"), (scored("sum"), "0+1.8x576 1036.8+1x72")],
            well: [(scored("count"), "0+2x648"), (scored("sum"), "0+1.8x648")]),
        Row(
            names: ["ToolTimeouts"],
            ill: [(#"agent_tool_calls_total{agent="ann",tool="search",status="timeout"}"#, "0+1x40")],
            well: [(#"agent_tool_calls_total{agent="ann",tool="search",status="timeout"}"#, "9x40")]),
        Row(
            names: ["AlertEvaluationStalled"],
            ill: [(#"reeve_rule_group_last_evaluation_timestamp_seconds{rule_group="own"}"#, "0x40")],
            well: [(#"reeve_rule_group_last_evaluation_timestamp_seconds{rule_group="own"}"#, "0+60x40")]),
        Row(
            names: ["SecretRotationDue"], ill: [(#"reeve_secrets_due{scope="org"}"#, "2x5")],
            well: [(#"reeve_secrets_due{scope="org"}"#, "0x5")]),
        Row(
            names: ["SecretLeaked", "SecretCompromised"],
            ill: [(#"reeve_secrets_redacted_total{kind="known",door="logs"}"#, "0+1x40")],
            well: [(#"reeve_secrets_redacted_total{kind="known",door="logs"}"#, "7x40")]),
        Row(
            names: ["PostmortemOverdue"], ill: [("reeve_incident_postmortems_overdue", "1x5")],
            well: [("reeve_incident_postmortems_overdue", "0x5")]),
    ]

    private static let subjects = RunbookSubjects(
        incident: Incident(
            id: Identifier(stored: "incident_1"), title: "t", severity: .critical, groupKey: "k",
            subjects: [
                "agent:ann", "model:m", "provider:main", "tool:search", "queue:inbox", "task_type:report",
                "scope:agent:ann",
            ], milestones: [:], openedBy: "reeve"))

    private func outcome(
        _ question: Runbook.Question, _ fleet: FaultyFleet
    ) async throws -> Runbook.Expectation.Outcome? {
        let text = try #require(Self.subjects.filled(question.text, in: .query))
        let answer = try await fleet.get(PagePath.query("/prometheus/api/v1/query", [("query", text)]))
        return question.expects?.outcome(of: RunbookLoop.values(answer, .query))
    }

    @Test("it fails with the fault, holds without it, and is unknown without any data", arguments: rows)
    func outcomes(_ row: Row) async throws {
        for name in row.names {
            let runbook = try #require(RunbookLibrary.shipped.runbook(name))
            #expect(!runbook.verify.isEmpty)
            for question in runbook.verify {
                let ill = try await outcome(question, FaultyFleet(row.ill, every: row.interval))
                let well = try await outcome(question, FaultyFleet(row.well, every: row.interval))
                let gone = try await outcome(question, FaultyFleet([]))
                #expect(ill == .fails && well == .holds && gone == .unknown, "\(name): \(question.title)")
            }
        }
    }

    @Test("all that verify anything are looked at")
    func complete() {
        let names = RunbookLibrary.shipped.runbooks.filter { !$0.verify.isEmpty }.map(\.name)
        #expect(Set(Self.rows.flatMap(\.names)) == Set(names))
        // All ask for numbers: what lists say is not looked at here.
        #expect(RunbookLibrary.shipped.runbooks.flatMap(\.verify).allSatisfy { $0.kind == .query })
    }

    static let text = """
        name: isolate
        alerts: [HighErrorRate]
        diagnosis: [{title: Errors, query: "errors"}]
        verify:
          - {title: No errors, query: "errors", expect: "<= 0"}
        verifyAfter: 30s
        verifyWithin: 1m
        """

    @Test(
        "once the fault's series is gone nothing is verified; once it says that all is well, it is",
        arguments: [([], RunbookRun.State.unverified), ([0], .done), ([2], .failed), ([.nan], .unverified)])
    func silence(_ values: [Double], _ end: RunbookRun.State) async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            let bench = try await RunbookTests.Bench(fixture, text: Self.text)
            let id = try await bench.start().id
            try await fixture.end("HighErrorRate", [("agent", "writer")])
            bench.reader.set(values)
            for _ in 0..<12 {
                try await bench.act()
                fixture.time.advance(by: .seconds(10))
            }
            let run = try await bench.run(id)
            #expect(run.state == end)
            let state: [RunbookRun.State: RunbookStep.State] = [.unverified: .unknown, .done: .done, .failed: .failed]
            #expect(run.steps[1].state == state[end])
            #expect((run.steps[1].evidence["fault"]?.string?.contains("no data") == true) == (end == .unverified))
            #expect(run.reason.contains("There is no data.") == (end == .unverified))
            #expect(
                try await fixture.timeline(bench.incident).contains { $0.action == "verified" } == (end == .done))
            let pending = try await fixture.storage.read { try RunbookStore().unverified(of: bench.incident, in: $0) }
            #expect(pending == (end == .done ? [] : ["No errors"]))
            if end == .unverified {
                #expect(try await fixture.eventTypes("runbook.") == ["runbook.started", "runbook.unverified"])
            }
        }
    }
}
