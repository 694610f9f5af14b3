import Kernel
import Testing

@testable import Telemetry

/// What agents' metrics make of calls and spans.
@Suite struct AgentMetersTests {
    static let start = Timestamp(microseconds: 1_700_000_000_000_000)
    static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    static let chat: [(String, JSONValue)] = [
        ("gen_ai.operation.name", "chat"), ("gen_ai.request.model", "mini"), ("gen_ai.agent.name", "ann"),
        ("gen_ai.usage.input_tokens", 100), ("gen_ai.usage.output_tokens", 20),
    ]

    /// Meters with a clock that the test moves.
    struct Bench {
        let time = SetTime(start)
        let meters: AgentMeters

        init() {
            meters = AgentMeters(
                world: World(time: time, entropy: World.live.entropy), windows: { $0 == "mini" ? 1_000 : nil },
                types: { $0 == "ann" ? "writer" : "" })
        }

        func hear(_ spans: [JSONValue]) throws {
            let bytes = try OTLPJSON.traces(SpanSamples.request(spans)) { _ in }
            let received = try ReceivedSpans(bytes)
            try #require(received.items.count == spans.count)
            meters.observe(received.body.withUnsafeBytes { body in received.items.map { StoredSpan($0, of: body) } })
        }

        /// What the metrics with such names show.
        func lines(_ prefix: String) -> [String] {
            var page = MetricPage()
            meters.collect(into: &page)
            return String(decoding: MetricText.bytes(of: page), as: UTF8.self).split(separator: "\n")
                .filter { $0.hasPrefix(prefix) }.map { String($0) }
        }
    }

    static func call(_ change: (inout AgentCall) -> Void = { _ in }) -> AgentCall {
        var call = AgentCall(agent: "ann", model: "mini", startedAt: start, endedAt: start + .milliseconds(250))
        call.tokens = [("input", 100), ("output", 20)]
        (call.inputTokens, call.outputTokens, call.isTurn) = (100, 20, true)
        change(&call)
        return call
    }

    static func id(_ number: UInt8) -> String { Hexadecimal.encode([0, 0, 0, 0, 0, 0, 1, number]) }

    static func span(
        _ number: UInt8, _ attributes: [(String, JSONValue)], parent: UInt8? = nil, trace: String = trace,
        status: JSONValue? = nil, more: [(String, JSONValue)] = []
    ) -> JSONValue {
        var members = JSONObject([.init(name: "traceId", value: .string(trace))])
        if let parent { members["parentSpanId"] = .string(id(parent)) }
        if let status { members["status"] = status }
        for (name, value) in more { members[name] = value }
        return SpanSamples.span(id(number), attributes: attributes, more: .object(members))
    }

    // MARK: tokens

    @Test("Tokens of spans, each in its bucket")
    func tokens() throws {
        let bench = Bench()
        let more: [(String, JSONValue)] = [
            ("gen_ai.usage.cache_read.input_tokens", 60), ("gen_ai.usage.reasoning_tokens", 5),
        ]
        try bench.hear([Self.span(1, Self.chat + more)])
        #expect(
            bench.lines("agent_tokens_consumed_total{") == [
                #"agent_tokens_consumed_total{model="mini",type="input",agent="ann"} 40"#,
                #"agent_tokens_consumed_total{model="mini",type="cache_read",agent="ann"} 60"#,
                #"agent_tokens_consumed_total{model="mini",type="output",agent="ann"} 15"#,
                #"agent_tokens_consumed_total{model="mini",type="reasoning",agent="ann"} 5"#,
            ])
        #expect(bench.lines("agent_context_utilization_ratio{").map { $0.suffix(4) } == [" 0.1"])
    }

    /// - Parameters:
    ///   - call: What differs of the gateway's call.
    ///   - expected: Input tokens that are counted in all.
    @Test(
        "A call that the gateway and its caller tell of counts once",
        arguments: [
            ("in its trace, however long ago", 120, trace, 100, 100), ("by what it used", 1, nil, 100, 100),
            ("too long ago to be that one", 60, nil, 100, 200), ("another trace, the same use", 1, "ab", 100, 100),
            ("another use and trace", 1, nil, 99, 199),
        ])
    func once(what: String, seconds: Int, trace: String?, input: Int, expected: Int) throws {
        let bench = Bench()
        bench.meters.observe([
            Self.call { call in
                call.trace = trace.flatMap { TraceID($0.count == 2 ? String(repeating: $0, count: 16) : $0) }
                call.startedAt = Self.start + .seconds(Int64(seconds))
                call.endedAt = call.startedAt + .milliseconds(250)
                call.inputTokens = Int64(input)
                call.tokens = [("input", Int64(input))]
            }
        ])
        try bench.hear([Self.span(1, Self.chat)])
        let line = #"agent_tokens_consumed_total{model="mini",type="input",agent="ann"} \#(expected)"#
        #expect(bench.lines("agent_tokens_consumed_total{").contains(line), "\(what)")
    }

    @Test("A call answers for one span: what went another way counts")
    func oneToOne() throws {
        let bench = Bench()
        bench.meters.observe([Self.call { $0.trace = TraceID(Self.trace) }])
        try bench.hear([Self.span(1, Self.chat), Self.span(2, Self.chat), Self.span(3, Self.chat)])
        #expect(
            bench.lines("agent_tokens_consumed_total{").first
                == #"agent_tokens_consumed_total{model="mini",type="input",agent="ann"} 300"#)
    }

    @Test("What two instrumentations tell, one inside the other, counts once, in either order")
    func nested() throws {
        for spans in [[1, 2], [2, 1]] {
            let bench = Bench()
            try bench.hear(
                spans.map { $0 == 1 ? Self.span(1, Self.chat, parent: 9) : Self.span(2, Self.chat, parent: 1) })
            #expect(
                bench.lines("agent_tokens_consumed_total{").first
                    == #"agent_tokens_consumed_total{model="mini",type="input",agent="ann"} 100"#)
        }
    }

    @Test("Calls that are remembered are bounded in number and age")
    func memory() {
        var memory = AgentCallMemory()
        for number in 0..<(AgentCallMemory.callsMax + 500) {
            memory.insert(Self.call { $0.inputTokens = Int64(number) }, at: Self.start)
        }
        #expect(memory.count == AgentCallMemory.callsMax)
        memory.insert(Self.call(), at: Self.start + AgentCallMemory.span + .seconds(1))
        #expect(memory.count == 1)
    }

    // MARK: tools and memory

    @Test(
        "How a tool's call ended",
        arguments: [
            ([("gen_ai.operation.name", "execute_tool")], 0, "success"),
            ([("gen_ai.operation.name", "execute_tool"), ("error.type", "TimeoutError")], 2, "timeout"),
            ([("openinference.span.kind", "TOOL"), ("error.type", "504")], 2, "timeout"),
            ([("traceloop.span.kind", "tool"), ("error.type", "ValueError")], 2, "failure"),
            ([("gen_ai.operation.name", "execute_tool"), ("error.type", "timeout")], 1, "success"),
        ])
    func tools(attributes: [(String, String)], status: Int, expected: String) throws {
        let bench = Bench()
        let all = attributes.map { ($0.0, JSONValue.string($0.1)) } + [("gen_ai.tool.name", "grep")]
        try bench.hear([Self.span(1, all, status: ["code": .int(Int64(status))])])
        #expect(
            bench.lines("agent_tool_calls_total{")
                == [#"agent_tool_calls_total{agent="",tool="grep",status="\#(expected)"} 1"#])
    }

    @Test("A timeout is told by the status' words or by an exception too")
    func timeouts() throws {
        let tool: [(String, JSONValue)] = [("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", "t")]
        let exception: JSONValue = [
            "name": "exception",
            "attributes": [SpanSamples.pair("exception.type", "httpx.ReadTimeout")],
        ]
        let bench = Bench()
        try bench.hear([
            Self.span(1, tool, status: ["code": 2, "message": "upstream timed out"]),
            Self.span(2, tool, status: ["code": 2], more: [("events", [exception])]),
        ])
        #expect(
            bench.lines("agent_tool_calls_total{")
                == [#"agent_tool_calls_total{agent="",tool="t",status="timeout"} 2"#])
    }

    @Test("A tool that is called again with the same arguments in its session")
    func repeats() throws {
        let bench = Bench()
        func tool(_ number: UInt8, _ tool: String, _ arguments: String, session: String?) -> JSONValue {
            var all: [(String, JSONValue)] = [
                ("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", .string(tool)),
                ("gen_ai.tool.call.arguments", .string(arguments)),
            ]
            if let session { all.append(("gen_ai.conversation.id", .string(session))) }
            return Self.span(number, all)
        }
        try bench.hear([
            tool(1, "a", "{}", session: "s"), tool(2, "a", "{}", session: "s"), tool(3, "a", "{}", session: "s"),
            tool(4, "a", "{1}", session: "s"), tool(5, "b", "{}", session: "s"), tool(6, "a", "{}", session: "r"),
            tool(7, "c", "{}", session: nil), tool(8, "c", "{}", session: nil),
            Self.span(9, [("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", "a")]),
        ])
        #expect(
            Set(bench.lines("agent_tool_repeat_calls_total{")) == [
                #"agent_tool_repeat_calls_total{agent="",tool="a"} 2"#,
                #"agent_tool_repeat_calls_total{agent="",tool="c"} 1"#,
            ])
    }

    @Test(
        arguments: [
            ("search_memory", "search"), ("create_memory", "write"), ("update_memory", "write"),
            ("upsert_memory", "write"), ("delete_memory", "write"), ("create_memory_store", "write"),
            ("get_memory", "read"), ("", "read"),
        ])
    func memoryOperations(name: String, expected: String) {
        #expect(AgentMeters.memoryOperation(name) == expected)
    }

    @Test func memorySpans() throws {
        let bench = Bench()
        try bench.hear([
            Self.span(1, [("gen_ai.operation.name", "search_memory")]),
            Self.span(2, [("gen_ai.operation.name", "upsert_memory")], status: ["code": 2]),
        ])
        #expect(
            Set(bench.lines("agent_memory_operations_total{")) == [
                #"agent_memory_operations_total{agent="",operation="search",status="success"} 1"#,
                #"agent_memory_operations_total{agent="",operation="write",status="failure"} 1"#,
            ])
        #expect(
            bench.lines("agent_memory_operation_duration_seconds_sum{").contains(
                #"agent_memory_operation_duration_seconds_sum{agent="",operation="search"} 0.25"#))
    }

    // MARK: sessions

    @Test("A conversation ends when it is not heard of any more; calls and spans are its turns, each once")
    func conversations() throws {
        let bench = Bench()
        let talk = Self.chat + [("gen_ai.conversation.id", "s-1")]
        bench.meters.observe([
            Self.call { call in
                call.session = "s-1"
                call.contextTokens = 1_000
            }
        ])
        bench.time.set(Self.start + .seconds(10))
        // The caller's word on the same call, and a call that went another way.
        try bench.hear([
            Self.span(1, talk), Self.span(2, talk, more: [("endTimeUnixNano", "1700000060000000000")]),
        ])
        #expect(bench.lines("agent_sessions_open ") == ["agent_sessions_open 1"])
        #expect(bench.lines("agent_context_utilization_ratio{").count == 1)
        bench.time.set(Self.start + .seconds(10) + AgentSessions.idleMax)
        #expect(bench.lines("agent_turns_per_session_count") == [])
        bench.time.set(Self.start + .seconds(11) + AgentSessions.idleMax)
        #expect(bench.lines("agent_turns_per_session_sum") == [#"agent_turns_per_session_sum{agent="ann"} 2"#])
        #expect(
            bench.lines("agent_session_duration_seconds_sum")
                == [#"agent_session_duration_seconds_sum{agent="ann"} 60"#])
        #expect(bench.lines("agent_context_utilization_ratio{") == [])
    }

    @Test("A trace that begins with an agent's span is a session, and its model calls are turns")
    func traces() throws {
        let bench = Bench()
        bench.meters.observe([Self.call { $0.trace = TraceID(Self.trace) }])
        try bench.hear([
            Self.span(1, [("gen_ai.operation.name", "invoke_agent"), ("gen_ai.agent.name", "ann")]),
            Self.span(2, Self.chat, parent: 1), Self.span(3, Self.chat, parent: 1),
        ])
        #expect(bench.lines("agent_turns_per_session_sum") == [])
        // One came late.
        try bench.hear([Self.span(4, Self.chat, parent: 1)])
        bench.time.set(Self.start + AgentSessions.lateMax + .seconds(1))
        #expect(bench.lines("agent_turns_per_session_sum") == [#"agent_turns_per_session_sum{agent="ann"} 3"#])
        #expect(
            bench.lines("agent_session_duration_seconds_sum")
                == [#"agent_session_duration_seconds_sum{agent="ann"} 0.25"#])
    }

    @Test("Sessions without end are bounded, and those that have to go are told")
    func boundedSessions() {
        var sessions = AgentSessions()
        for number in 0..<(AgentSessions.openMax + 1) {
            let key = AgentSessions.Key(agent: "a", session: "s-\(number)")
            sessions.hear(key, from: 0, until: 1, isTurn: true, at: Self.start + Span(microseconds: Int64(number)))
        }
        #expect(sessions.count == AgentSessions.openMax + 1 - AgentSessions.openMax / 10)
        #expect(sessions.sweep(at: Self.start + .seconds(1)).count == AgentSessions.openMax / 10)
    }

    @Test func costByTypeOfAgent() {
        let bench = Bench()
        bench.meters.observe([Self.call { $0.nanoUSD = 1_500 }, Self.call { $0.nanoUSD = 500 }])
        #expect(
            bench.lines("agent_cost_usd_total{")
                == [#"agent_cost_usd_total{agent="ann",agent_type="writer",model="mini"} 0.000002000"#])
    }
}
