import ArgumentParser
import Kernel
import Runner

/// `reeve incident run`: carries out a runbook, and shows its steps as they go.
struct IncidentRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a runbook on an incident, and show its steps as they go.",
        discussion: """
            Without --yes each action is asked for: approve it on the incident's page, or with `reeve incident contain \
            --approve`. Exit status: 0 done or with items left to tick, 1 it failed, was stopped or refused, 2 wrong \
            usage, 3 the server cannot be reached.
            """)

    /// Between two looks at a run.
    static let lookEvery = Span.milliseconds(250)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The incident's id.") var id: String
    @Option(help: "The runbook; else the one of the incident's alert, or of its mode.") var runbook: String?
    @Flag(name: .long, help: "Approve its actions beforehand.") var yes = false
    @Flag(name: .customLong("no-wait"), help: "Begin it, and do not wait.") var isDetached = false

    func run() async throws {
        let ended = try await Failing.translated(isJSON: output.isJSON) {
            let reeve = try connection.client()
            var body = JSONObject()
            body.add("runbook", runbook)
            body["approve"] = .bool(yes)
            var run = try await reeve.post(ReeveClient.path("api", "v1", "incidents", id, "run"), .object(body))
            guard !isDetached, let runID = run["id"]?.string else { return run }
            if !output.isJSON { print("\(run["runbook"]?.string ?? ""), run \(runID)") }
            var told: [Int64: String] = [:]
            while true {
                if !output.isJSON { tell(run, &told) }
                guard run["state"]?.string == "running", !waits(run) else { return run }
                try await reeve.world.time.sleep(for: Self.lookEvery)
                run = try await reeve.get(ReeveClient.path("api", "v1", "runs", runID))
            }
        }
        if output.isJSON { print(ended.prettyText) } else { conclude(ended) }
        if ["failed", "unverified", "stopped"].contains(ended["state"]?.string) { throw ExitCode(1) }
    }

    /// Whether a person has to answer first.
    private func waits(_ run: JSONValue) -> Bool {
        guard !yes else { return false }
        return steps(of: run).contains { $0["kind"] == "action" && $0["state"] == "started" }
    }

    private func steps(of run: JSONValue) -> [JSONValue] { run["steps"]?.array ?? [] }

    private func tell(_ run: JSONValue, _ told: inout [Int64: String]) {
        for step in steps(of: run) {
            guard let number = step["number"]?.int, let state = step["state"]?.string, state != "waiting",
                told[number] != state
            else { continue }
            told[number] = state
            print(Self.line(step, state))
        }
    }

    private static func line(_ step: JSONValue, _ state: String) -> String {
        let evidence = step["evidence"]
        let outcomes = (evidence?["outcomes"]?.array ?? []).map { outcome in
            [outcome["target"], outcome["outcome"], outcome["detail"]].compactMap { $0?.string }
                .filter { !$0.isEmpty }.joined(separator: " ")
        }
        let words = outcomes.isEmpty ? [evidence?["fault"]?.string].compactMap(\.self) : outcomes
        let kind = step["kind"]?.string ?? ""
        let head = "\(state.padding(10))\(kind.padding(11))\(step["title"]?.string ?? "")"
        return words.isEmpty ? head : "\(head): \(words.joined(separator: "; "))"
    }

    private func conclude(_ run: JSONValue) {
        let state = run["state"]?.string ?? ""
        let open = steps(of: run).filter { $0["kind"] == "check" && $0["state"] == "waiting" }
        print(["run", state, run["reason"]?.string ?? ""].filter { !$0.isEmpty }.joined(separator: " "))
        if state == "running", waits(run) {
            print("An action waits for a yes: reeve incident contain \(id) --approve, or the incident's page.")
        }
        for item in open { print("to tick   \(item["title"]?.string ?? "")") }
    }
}

/// `reeve incident contain`: what is proposed, and a person's answer.
struct IncidentContain: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "contain",
        abstract: "List containments, show what they would reach, approve what is proposed, or take back.",
        discussion: "Without an incident it lists what is in force against any.\n\n" + Failing.exits)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The incident's id.") var id: String?
    @Flag(help: "Show what is proposed or asked would reach now, and change nothing.") var preview = false
    @Flag(help: "Let act what is proposed or asked.") var approve = false
    @Flag(help: "Take back what acted.") var reverse = false
    @Option(help: "This one alone, by its id.") var only: String?

    func validate() throws {
        guard [approve, reverse, preview].count(where: { $0 }) < 2 else {
            throw ValidationError("Give one of --preview, --approve and --reverse.")
        }
        if reverse, id == nil, only == nil { throw ValidationError("Name the incident, or one by --only.") }
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let path = id.map { ["api", "v1", "incidents", $0, "containments"] } ?? ["api", "v1", "containments"]
        var (items, next) = try await reeve.list(path, limit: 200)
        if let only { items = items.filter { $0["id"]?.string == only } }
        if preview { return .list(.reaches, (try await reaches(of: items, reeve), nil)) }
        let verb = approve ? "approve" : reverse ? "reverse" : nil
        if let verb {
            // What was proposed first acts first; what acted last is taken back first.
            for index in approve ? items.indices.reversed() : Array(items.indices) where isMeant(items[index]) {
                let item = items[index]
                guard let one = item["id"]?.string else { continue }
                items[index] = try await reeve.post(ReeveClient.path("api", "v1", "containments", one, verb))
            }
            next = nil
        }
        return .list(.containments, (items, next))
    }

    /// The previews of those that wait for somebody, each with its `id` and `name`.
    private func reaches(of items: [JSONValue], _ reeve: ReeveClient) async throws -> [JSONValue] {
        var found: [JSONValue] = []
        for item in items where ["proposed", "asked"].contains(item["state"]?.string) {
            let path = ReeveClient.path("api", "v1", "containments", item["id"]?.string ?? "", "preview")
            var preview = try await reeve.get(path).object ?? JSONObject()
            preview["id"] = item["id"]
            preview["name"] = item["name"]
            found.append(.object(preview))
        }
        return found
    }

    private func isMeant(_ item: JSONValue) -> Bool {
        approve ? ["proposed", "asked"].contains(item["state"]?.string) : item["reversible"]?.bool == true
    }
}

extension String {
    /// With spaces behind it.
    fileprivate func padding(_ width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
