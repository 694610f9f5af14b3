import ArgumentParser
import Control
import Kernel
import Runner
import Telemetry

/// `reeve oncall`: who answers, and whether the file that says so is right.
struct OnCallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "oncall", abstract: "Check a file of on-call, and say who is on call.", discussion: Failing.exits,
        subcommands: [OnCallCheck.self, OnCallWho.self, OnCallCalendar.self])
}

/// A time on the command line.
private enum TimeArgument {
    static func read(_ text: String?, name: String) throws -> Timestamp {
        guard let text else { return World.live.now }
        guard let time = Timestamp(rfc3339: text) else {
            throw ValidationError("\(name) is a time such as 2026-11-20T08:15:30Z or 2026-11-20T09:15:30+01:00.")
        }
        return time
    }
}

/// `reeve oncall check`. Exit status: 0 nothing to look at, 1 something is, 2 a wrong call.
struct OnCallCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say what is wrong with a file of on-call, and what to look at.",
        discussion: """
            Needs no server. Each fault and finding is told as FILE:LINE:COLUMN: what cannot be read, times at which \
            nobody or two are on call, chains that nothing uses or that reach nobody. Exit status: 0 nothing to look \
            at, 1 something is, 2 a wrong call.
            """)

    @Argument(help: "The file.", completion: .file()) var file: String
    @Option(help: "The first day that is looked at; now unless given.") var from: String?
    @Option(help: "How many days are looked at.") var days: Int64 = 28
    @Flag(name: .customLong("json"), help: "Print one JSON document.") var isJSON = false

    func validate() throws {
        guard (1...366).contains(days) else { throw ValidationError("--days is 1 to 366.") }
        _ = try TimeArgument.read(from, name: "--from")
    }

    func run() throws {
        let start = try TimeArgument.read(from, name: "--from")
        var (faults, findings): ([MarkedYAML.Fault], [OnCallFinding]) = ([], [])
        do { findings = try OnCallFile.read(file).findings(in: start..<start + .hours(24 * days)) } catch let refusal
            as OnCallReader.Refusal
        {
            faults = refusal.faults
        }
        let isRight = faults.isEmpty && findings.isEmpty
        if isJSON {
            let document: JSONValue = [
                "ok": .bool(isRight), "file": .string(file), "from": start.json, "days": .int(days),
                "faults": .list(faults.map(\.json)), "findings": .list(findings),
            ]
            print(document.prettyText)
        } else {
            let lines = faults.map { "\(file):\($0)" } + findings.map { "\(file):\($0)" }
            print(isRight ? "\(file): nothing to look at for \(days) days" : lines.joined(separator: "\n"))
        }
        if !isRight { throw ExitCode(1) }
    }
}

/// A question to the server, or to a file without one.
protocol OnCallQuestion: ClientCommand {
    var file: String? { get }
    func answer(_ plan: OnCallPlan) throws -> Answer
}

extension OnCallQuestion {
    func run() async throws {
        try await finish {
            guard let file else { return try await answer(client.connection.client()) }
            return try answer(of: file)
        }
    }

    private func answer(of file: String) throws -> Answer {
        do { return try answer(try OnCallFile.read(file)) } catch let refusal as OnCallReader.Refusal {
            let faults = refusal.faults
            return Answer(
                json: ["ok": false, "file": .string(file), "faults": .list(faults.map(\.json))],
                text: faults.map { "\(file):\($0)" }.joined(separator: "\n"), status: 1)
        } catch let problem as Problem {
            return Answer(
                json: ["detail": .string(problem.detail), "hint": .string(problem.hint)], text: problem.detail,
                status: 1)
        }
    }
}

/// `reeve oncall who`.
struct OnCallWho: OnCallQuestion {
    static let configuration = CommandConfiguration(
        commandName: "who", abstract: "Say who is on call, and what says so.",
        discussion: "With --file no server is asked. A schedule with nobody is a no. \(Failing.exits)")

    @OptionGroup var client: ClientOptions
    @Option(help: "The moment; now unless given.") var at: String?
    @Option(help: "One schedule; all unless given.") var schedule: String?
    @Option(help: "A file of on-call, in place of the server.", completion: .file()) var file: String?

    func validate() throws { _ = try TimeArgument.read(at, name: "--at") }

    func answer(_ plan: OnCallPlan) throws -> Answer {
        Self.answer(try plan.duties(at: try TimeArgument.read(at, name: "--at"), schedule: schedule))
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let query = [("at", at), ("schedule", schedule)]
        return Self.answer(try await reeve.get(ReeveClient.path("api", "v1", "oncall", query: query)))
    }

    private static func answer(_ document: JSONValue) -> Answer {
        let duties = document["schedules"]?.array ?? []
        let isCovered = !duties.isEmpty && duties.allSatisfy { $0["person"]?.string != nil }
        return Answer(json: document, text: OnCallText.duties(document), status: isCovered ? 0 : 1)
    }
}

/// `reeve oncall calendar`.
struct OnCallCalendar: OnCallQuestion {
    static let configuration = CommandConfiguration(
        commandName: "calendar", abstract: "List the shifts of the next weeks, and the times without anybody.",
        discussion: "With --file no server is asked. \(Failing.exits)")

    @OptionGroup var client: ClientOptions
    @Option(help: "The first moment; now unless given.") var from: String?
    @Option(help: "How many weeks.") var weeks: Int64 = 4
    @Option(help: "One schedule; all unless given.") var schedule: String?
    @Option(help: "A file of on-call, in place of the server.", completion: .file()) var file: String?

    func validate() throws {
        guard (1...52).contains(weeks) else { throw ValidationError("--weeks is 1 to 52.") }
        _ = try TimeArgument.read(from, name: "--from")
    }

    private func range() throws -> (from: Timestamp, until: Timestamp) {
        let start = try TimeArgument.read(from, name: "--from")
        return (start, start + .hours(24 * 7 * weeks))
    }

    func answer(_ plan: OnCallPlan) throws -> Answer {
        Self.answer(["configured": true, "items": .array(try plan.shifts(in: try range(), schedule: schedule))])
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let range = try range()
        let query = [("from", range.from.rfc3339), ("until", range.until.rfc3339), ("schedule", schedule)]
        return Self.answer(try await reeve.get(ReeveClient.path("api", "v1", "oncall", "shifts", query: query)))
    }

    private static func answer(_ document: JSONValue) -> Answer {
        guard document["configured"]?.bool == true else {
            return Answer(json: document, text: OnCallText.notConfigured, status: 1)
        }
        return Answer(json: document, text: OnCallText.calendar(document["items"]?.array ?? []))
    }
}
