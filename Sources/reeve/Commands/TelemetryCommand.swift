import ArgumentParser
import Kernel
import Runner

/// `reeve telemetry`: what is kept of traces and logs, and what is not.
struct TelemetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "telemetry", abstract: "Label traces, put holds on records, and erase a subject.",
        discussion: Failing.exits,
        subcommands: [TelemetryLabel.self, TelemetryHoldCommand.self, TelemetryErase.self])
}

struct TelemetryLabel: ClientCommand {
    static let configuration = CommandConfiguration.client("label", "Label a trace, which is kept longer then.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The trace's id, 32 hexadecimal digits.") var trace: String
    @Argument(help: "The label: letters, digits, dots, dashes, underscores and colons.") var label: String
    @Flag(help: "Remove the label instead.") var remove = false

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let path = ReeveClient.path("api", "v1", "traces", trace, "labels", label)
        guard !remove else {
            try await reeve.delete(path)
            return Answer(json: ["traceId": .string(trace)], text: "\(trace): no longer \(label)")
        }
        let labels = try await reeve.put(path, [:])
        let names = (labels["labels"]?.array ?? []).compactMap(\.string)
        return Answer(json: labels, text: "\(trace): \(names.joined(separator: ", "))")
    }
}

// MARK: - Holds

struct TelemetryHoldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold", abstract: "Keep records whatever their time, until the hold is lifted.",
        discussion: Failing.exits, subcommands: [HoldList.self, HoldPlace.self, HoldLift.self],
        defaultSubcommand: HoldList.self)
}

struct HoldList: ListCommand {
    static let configuration = CommandConfiguration.client(
        "list", "List holds, the newest first, with those that were lifted.")
    static let view = ListView.legalHolds

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    var place: [String] { ["api", "v1", "telemetry", "holds"] }
}

struct HoldPlace: ClientCommand {
    static let configuration = CommandConfiguration.client("place", "Put a hold on one thing, or on a range of time.")

    @OptionGroup var client: ClientOptions
    @Option(help: "On what belongs to this correlation id.") var correlation: String?
    @Option(help: "On this trace.") var trace: String?
    @Option(help: "On this agent's records.") var agent: String?
    @Option(help: "On records that have this as the whole value of anything.") var subject: String?
    @Option(help: "On all from this moment, such as 2026-11-20T08:00:00Z.") var since: String?
    @Option(help: "On all before this moment.") var until: String?
    @Option(help: "Why.") var reason: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        body.add("correlationId", correlation)
        body.add("traceId", trace)
        body.add("agent", agent)
        body.add("subject", subject)
        body.add("since", since)
        body.add("until", until)
        body.add("reason", reason)
        return .details(try await reeve.post("/api/v1/telemetry/holds", .object(body)))
    }
}

struct HoldLift: ClientCommand {
    static let configuration = CommandConfiguration.client("lift", "Lift a hold: what it alone kept is deleted.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The hold's id.") var id: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .details(try await reeve.delete(ReeveClient.path("api", "v1", "telemetry", "holds", id)))
    }
}

// MARK: - Erasing

struct TelemetryErase: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "erase", abstract: "Remove a subject's records, and prove that none is left.",
        discussion: """
            A record is the subject's where the whole value of any attribute, field or label is the subject; with \
            --text, where it stands anywhere. Prints what was found and removed in each file, the file's SHA-256 \
            afterwards, and what a second search found. Exit status 1 where something is left. \(Failing.exits)
            """)

    /// Between two looks at how far it is.
    private static let lookEvery = Span.milliseconds(300)

    @OptionGroup var client: ClientOptions
    @Option(help: "Who: the value of a user's or session's id, say.") var subject: String
    @Flag(help: "Wherever it stands, also within longer texts.") var text = false
    @Flag(name: .customLong("dry-run"), help: "Only look.") var isDryRun = false
    @Option(help: "Why, for the audit log; it does not name the subject.") var reason: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        body["subject"] = .string(subject)
        body["text"] = .bool(text)
        body["dryRun"] = .bool(isDryRun)
        body.add("reason", reason)
        var erasure = try await reeve.post("/api/v1/telemetry/erasures", .object(body))
        let id = erasure["id"]?.string ?? ""
        while erasure["state"]?.string == "running" {
            try await reeve.world.time.sleep(for: Self.lookEvery)
            erasure = try await reeve.get(ReeveClient.path("api", "v1", "telemetry", "erasures", id))
        }
        return Answer(
            json: erasure, text: ErasureText.proof(erasure), status: erasure["state"]?.string == "done" ? 0 : 1)
    }
}
