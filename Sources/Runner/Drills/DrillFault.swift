import Kernel

/// How one fault is brought about, contained where no plan does it, and mended.
protocol DrillFault: Sendable {
    /// Short names of the agents that go wrong.
    var faulty: [String] { get }
    /// What there is before anything goes wrong.
    mutating func prepare(_ fleet: DrillFleet) async throws
    /// One beat of the fault; called several times a second, and what is refused meanwhile is part of it.
    mutating func provoke(_ fleet: DrillFleet) async throws
    /// What a person orders where the rules that are shipped have no plan; `nil` where they have one. Under a drill's
    /// own rules the server plans all of it.
    func order(_ fleet: DrillFleet) -> JSONValue?
    /// Ends the fault itself, as somebody would who fixed it.
    mutating func mend(_ fleet: DrillFleet) async throws
    /// One beat of what goes on once it is mended.
    mutating func resume(_ fleet: DrillFleet) async throws
}

extension DrillFault {
    mutating func prepare(_ fleet: DrillFleet) async throws {}
    func order(_ fleet: DrillFleet) -> JSONValue? { nil }
    mutating func mend(_ fleet: DrillFleet) async throws {}
    func resume(_ fleet: DrillFleet) async throws { for agent in faulty { try await fleet.beat(agent) } }

    /// Nothing of the faulty agents' is handed to them any more.
    static func pause(_ names: [String], _ fleet: DrillFleet) -> JSONValue {
        ["action": "pauseAgent", "parameters": ["agents": .list(names.map(fleet.name))]]
    }
}

/// The faults by the names of their drills.
enum DrillFaults {
    static let names = [
        "model-outage", "hung-agent", "looping-agent", "bad-deliverable", "cost-spike", "queue-backup", "tool-timeout",
    ]

    static func named(_ name: String) -> (any DrillFault)? {
        switch name {
        case "model-outage": ModelOutageFault()
        case "hung-agent": HungAgentFault()
        case "looping-agent": LoopingAgentFault()
        case "bad-deliverable": BadDeliverableFault()
        case "cost-spike": CostSpikeFault()
        case "queue-backup": QueueBackupFault()
        case "tool-timeout": ToolTimeoutFault()
        default: nil
        }
    }
}

/// Every call to the model's provider fails, until its breaker opens.
struct ModelOutageFault: DrillFault {
    let faulty = ["asker"]

    mutating func prepare(_ fleet: DrillFleet) async throws {
        try await fleet.create(
            queue: "asks", title: "waits for the model", more: [("model", fleet.model)])
    }

    func provoke(_ fleet: DrillFleet) async throws {
        try await fleet.beat("asker")
        for _ in 0..<3 { try? await fleet.ask("asker", .fails) }
    }

    func mend(_ fleet: DrillFleet) async throws {
        if !fleet.id.isEmpty {
            _ = try await fleet.operator_.post(ReeveClient.path("api", "v1", "drills", fleet.id, "mend"))
        }
        try await resume(fleet)
    }

    /// Some calls find out that the provider is back, and are refused until then.
    func resume(_ fleet: DrillFleet) async throws {
        try await fleet.beat("asker")
        try? await fleet.ask("asker", .question("hello"))
    }
}

/// An agent takes a task and says nothing any more.
struct HungAgentFault: DrillFault {
    let faulty = ["hung"]

    mutating func prepare(_ fleet: DrillFleet) async throws {
        try await fleet.create(queue: "hangs", title: "its agent falls silent")
        _ = try await fleet.claim("hung", from: "hangs")
    }

    func provoke(_ fleet: DrillFleet) async throws {}

    func mend(_ fleet: DrillFleet) async throws { try await fleet.beat("hung") }
}

/// An agent calls the same tool with the same arguments, and burns tokens with it.
struct LoopingAgentFault: DrillFault {
    let faulty = ["looper"]
    private var questions = 0

    mutating func prepare(_ fleet: DrillFleet) async throws {
        try await fleet.create(queue: "loops", title: "its agent goes round in circles")
        _ = try await fleet.claim("looper", from: "loops")
    }

    func provoke(_ fleet: DrillFleet) async throws {
        try await fleet.beat("looper")
        for _ in 0..<2 {
            try await fleet.tell("looper", tool: "success", arguments: #"{"query":"same"}"#, seconds: 0.1)
        }
        try? await fleet.ask("looper", .question("the same question"))
    }

    /// It asks for something else each time.
    mutating func resume(_ fleet: DrillFleet) async throws {
        questions += 1
        try await fleet.beat("looper")
        try await fleet.tell("looper", tool: "success", arguments: #"{"query":"\#(questions)"}"#, seconds: 0.1)
    }
}

/// A wrong result is taken for right, built upon, and what was built is rejected.
struct BadDeliverableFault: DrillFault {
    let faulty = ["author", "builder"]
    /// Results that are built upon the wrong one, and rejected.
    let count: Int
    private var rejected = 0

    init(count: Int = 1) { self.count = count }

    mutating func prepare(_ fleet: DrillFleet) async throws {
        let draft = try await fleet.create(queue: "drafts", title: "a draft that is wrong")
        for _ in 0..<count {
            let built = try await fleet.create(
                queue: "builds", title: "builds on the draft",
                more: [("dependsOn", [.string(draft)]), ("review", ["approvals": 1])])
            try await fleet.create(
                queue: "builds", title: "would build on that", more: [("dependsOn", [.string(built)])])
        }
    }

    mutating func provoke(_ fleet: DrillFleet) async throws {
        for agent in faulty { try await fleet.beat(agent) }
        if let hold = try await fleet.claim("author", from: "drafts") {
            try await deliver("author", hold, fleet)
            try await fleet.write("author", "complete", hold)
        }
        guard rejected < count, let hold = try await fleet.claim("builder", from: "builds") else { return }
        let sealed = try await deliver("builder", hold, fleet)
        try await fleet.write("builder", "submit", hold)
        let verdict: JSONValue = [
            "verdict": "reject", "sha256": sealed["sha256"] ?? .null, "comment": "It builds on what is wrong.",
        ]
        _ = try await fleet.operator_.post(ReeveClient.path("api", "v1", "tasks", hold.task, "review"), verdict)
        rejected += 1
    }

    @discardableResult
    private func deliver(_ agent: String, _ hold: DrillFleet.Hold, _ fleet: DrillFleet) async throws -> JSONValue {
        try await fleet.write(
            agent, "deliverables", hold,
            [("name", "sum.md"), ("contentType", "text/markdown"), ("content", "2 + 2 = 5")])
    }
}

/// An agent's calls cost ten times what they should.
struct CostSpikeFault: DrillFault {
    let faulty = ["spender"]

    func provoke(_ fleet: DrillFleet) async throws {
        try await fleet.beat("spender")
        try? await fleet.ask("spender", .burns)
    }
}

/// A queue whose only worker was paused by mistake.
struct QueueBackupFault: DrillFault {
    let faulty = ["worker"]

    mutating func prepare(_ fleet: DrillFleet) async throws {
        _ = try await fleet.operator_.post(ReeveClient.path("api", "v1", "agents", fleet.name("worker"), "pause"))
        for number in 1...12 { try await fleet.create(queue: "piles", title: "waits \(number)") }
    }

    func provoke(_ fleet: DrillFleet) async throws { try await fleet.beat("worker") }

    func mend(_ fleet: DrillFleet) async throws {
        try await fleet.beat("worker")
        while let hold = try await fleet.claim("worker", from: "piles") {
            try await fleet.write("worker", "complete", hold)
        }
    }
}

/// A tool's server does not answer an agent.
struct ToolTimeoutFault: DrillFault {
    let faulty = ["caller"]

    func provoke(_ fleet: DrillFleet) async throws {
        try await fleet.beat("caller")
        let number = fleet.operator_.world.now.microseconds
        for _ in 0..<2 {
            try await fleet.tell("caller", tool: "timeout", arguments: #"{"query":"\#(number)"}"#, seconds: 1)
        }
    }

    func order(_ fleet: DrillFleet) -> JSONValue? { Self.pause(faulty, fleet) }

    func mend(_ fleet: DrillFleet) async throws {
        try await fleet.beat("caller")
        try await fleet.tell("caller", tool: "success", arguments: #"{"query":"again"}"#, seconds: 0.1)
    }
}
