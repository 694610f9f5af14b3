import Kernel

/// How a list of the interface looks as a table: a column's title, and a cell's text from the item.
public struct ListView: Sendable {
    public typealias Cell = @Sendable (_ item: JSONValue, _ now: Timestamp) -> String

    let columns: [(title: String, cell: Cell)]
    /// What stands instead of an empty table: also how to fill it.
    public let empty: String

    init(empty: String, _ columns: [(title: String, cell: Cell)]) {
        self.columns = columns
        self.empty = empty
    }

    public func table(_ items: [JSONValue], at now: Timestamp) -> TextTable {
        TextTable(columns.map(\.title), items.map { item in columns.map { $0.cell(item, now) } })
    }

    public func text(_ items: [JSONValue], at now: Timestamp, width: Int? = nil) -> String {
        items.isEmpty ? empty : table(items, at: now).text(width: width)
    }

    private static func plain(_ name: String) -> Cell { { item, _ in Words.plain(item[name]) } }
    private static func age(_ name: String) -> Cell { { item, now in Words.age(item[name], at: now) } }
    private static func short(_ name: String, _ count: Int) -> Cell {
        { item, _ in TextWidth.cut(Words.plain(item[name]), to: count) }
    }

    public static let agents = ListView(
        empty: "There are no agents yet. `reeve run --agent NAME -- command` brings one.",
        [
            ("AGENT", plain("name")), ("STATUS", plain("status")), ("SINCE", age("statusSince")),
            ("HEARD", age("lastHeartbeatAt")), ("CPU", { item, _ in Words.percent(item["cpuPercent"]) }),
            ("MEMORY", { item, _ in Words.bytes(item["memoryBytes"]) }),
            ("TASKS", { item, _ in String(item["currentTasks"]?.array?.count ?? 0) }), ("PROJECT", plain("project")),
            ("DOES", short("statusMessage", 60)),
        ])

    public static let tasks = ListView(
        empty: "There are no such tasks. `reeve tasks create --title TITLE` makes one.",
        [
            ("TASK", plain("id")), ("STATE", state), ("QUEUE", plain("queue")), ("AGENT", plain("agent")),
            ("TRIES", plain("attempts")), ("UPDATED", age("updatedAt")), ("TITLE", short("title", 60)),
        ])

    /// For a narrow screen: what people look for first, the id last.
    static let tasksInBrief = ListView(
        empty: "There are no tasks yet. `reeve tasks create --title TITLE` makes one.",
        [
            ("STATE", state), ("AGENT", plain("agent")), ("QUEUE", plain("queue")), ("UPDATED", age("updatedAt")),
            ("TITLE", short("title", 50)), ("TASK", plain("id")),
        ])

    /// The state with what stands beside it: the reason, and any holds.
    private static let state: Cell = { item, _ in
        let reason = item["reason"]?.string.map { " (\($0))" } ?? ""
        let holds = (item["holds"]?.array ?? []).compactMap(\.string)
        return Words.plain(item["state"]) + reason + (holds.isEmpty ? "" : " +" + holds.joined(separator: "+"))
    }

    public static let queues = ListView(
        empty: "There are no queues yet. The first task of a queue makes it.",
        [
            ("QUEUE", plain("name")), ("READY", plain("ready")), ("RUNNING", plain("running")),
            ("WAITING", plain("waiting")), ("REVIEW", plain("inReview")), ("HELD", plain("held")),
            ("OLDEST", age("oldestReadyAt")), ("LIMIT", plain("concurrency")),
            ("DONE/H", { item, _ in String((item["throughput"]?.array ?? []).compactMap(\.int).reduce(0, +)) }),
            ("PAUSED", pause),
        ])

    private static let pause: Cell = { item, _ in
        item["paused"]?.bool == true ? Words.plain(item["pause"]?["reason"] ?? "yes") : "-"
    }

    public static let bundles = ListView(
        empty: "There is no version yet. `reeve config push DIR --agent NAME` makes the first.",
        [
            ("VERSION", { item, _ in String(Words.plain(item["version"]).prefix(12)) }),
            ("PUSHED", age("createdAt")), ("BY", plain("author")), ("FILES", plain("files")),
            ("MESSAGE", short("message", 70)),
        ])

    public static let bundleRollouts = ListView(
        empty: "Nothing was ever rolled out. `reeve config push DIR --agent NAME --rollout` does.",
        [
            ("ID", plain("id")), ("VERSION", { item, _ in String(Words.plain(item["version"]).prefix(12)) }),
            (
                "AGENTS",
                { item, _ in (item["agents"]?.array ?? []).compactMap { $0["agent"]?.string }.joined(separator: ",") }
            ),
            ("STATE", plain("state")), ("STEP", plain("step")), ("SHARE", plain("share")), ("SAYS", plain("words")),
        ])

    public static let configStates = ListView(
        empty: "Nobody has been given a configuration. `reeve config push DIR --agent NAME` does.",
        [
            ("AGENT", plain("agent")), ("DESIRED", { item, _ in String(Words.plain(item["desired"]).prefix(12)) }),
            ("REPORTED", { item, _ in String(Words.plain(item["reported"]).prefix(12)) }),
            ("BEHIND", { item, _ in item["behind"]?.bool == true ? "yes" : "-" }), ("HEARD", age("lastHeartbeatAt")),
        ])

    public static let runbooks = ListView(
        empty: "There are no runbooks.",
        [
            ("NAME", plain("name")), ("MODE", plain("mode")),
            ("ACTIONS", { item, _ in String(item["actions"]?.array?.count ?? 0) }), ("TITLE", plain("title")),
        ])

    public static let containments = ListView(
        empty: "Nothing is proposed against this incident.",
        [
            ("CONTAINMENT", plain("id")), ("WHAT", plain("name")), ("STATE", plain("state")),
            ("IN FORCE", { item, _ in item["inForce"]?.bool == true ? "yes" : "" }), ("BY", plain("proposedBy")),
            ("DECIDED", plain("decidedBy")), ("REASON", plain("reason")),
        ])

    /// What containments would reach, from their previews.
    public static let reaches = ListView(
        empty: "Nothing waits for a yes.",
        [
            ("CONTAINMENT", plain("id")), ("WHAT", plain("name")),
            ("AGENTS", { item, _ in reached("agents", item, named: true) }),
            ("STOPPED", { item, _ in reached("tasksInProgress", item) }),
            ("HELD", { item, _ in reached("tasksHeld", item) }),
            ("QUEUED", { item, _ in Words.plain(item["blastRadius"]?["queued"]) }),
            ("BEYOND LIMITS", plain("beyondLimits")),
        ])

    private static func reached(_ kind: String, _ item: JSONValue, named: Bool = false) -> String {
        let found = item["blastRadius"]?[kind]
        let (count, names) = (found?["count"]?.int ?? 0, (found?["names"]?.array ?? []).compactMap(\.string))
        guard named, count > 0 else { return String(count) }
        return TextWidth.cut("\(count): \(names.prefix(5).joined(separator: ", "))", to: 50)
    }

    public static let flags = ListView(
        empty: "There are no flags yet. `reeve flags set FILE` makes one.",
        [
            ("FLAG", plain("key")), ("ON", { item, _ in item["enabled"]?.bool == true ? "on" : "off" }),
            ("TYPE", plain("type")), ("MODE", plain("mode")), ("DEFAULT", plain("defaultVariant")),
            ("RULES", { item, _ in String(item["rules"]?.array?.count ?? 0) }), ("VERSION", plain("version")),
            ("CHANGED", age("updatedAt")), ("BY", plain("updatedBy")),
        ])

    public static let flagVersions = ListView(
        empty: "Nobody has changed it.",
        [
            ("VERSION", plain("version")), ("WHEN", age("at")), ("BY", plain("author")), ("WHAT", plain("act")),
            (
                "CHANGED",
                { item, _ in
                    let paths = (item["changes"]?.array ?? []).compactMap { $0["path"]?.string }
                    return paths.isEmpty ? "-" : TextWidth.cut(paths.joined(separator: ", "), to: 50)
                }
            ), ("REASON", short("reason", 60)),
        ])

    public static let reviews = ListView(
        empty: "Nothing waits for a reviewer.",
        [
            ("TASK", plain("id")), ("BY", plain("agent")), ("QUEUE", plain("queue")),
            ("ROUND", { item, _ in Words.plain(item["submission"]?["round"]) }),
            ("WAITS", { item, now in Words.age(item["submission"]?["at"] ?? item["updatedAt"], at: now) }),
            ("DELIVERABLES", { item, _ in names(of: item) }), ("TITLE", short("title", 60)),
        ])

    private static func names(of task: JSONValue) -> String {
        let names = (task["deliverables"]?.array ?? []).compactMap { $0["name"]?.string }
        return TextWidth.cut(names.isEmpty ? "-" : names.joined(separator: ", "), to: 40)
    }

    public static let deliverables = ListView(
        empty: "There are no deliverables.",
        [
            ("NAME", plain("name")), ("REV", plain("revision")), ("TYPE", plain("contentType")),
            ("SIZE", { item, _ in Words.bytes(item["size"]) }), ("SHA-256", short("sha256", 13)),
            ("BY", plain("agent")),
        ])

    public static let attempts = ListView(
        empty: "Nobody has claimed it yet.",
        [
            ("TRY", plain("number")), ("STATE", plain("state")), ("AGENT", plain("agent")),
            ("CLAIMED", age("claimedAt")), ("ENDED", age("endedAt")), ("CLASS", plain("class")),
            ("MESSAGE", short("message", 60)),
        ])

    public static let events = ListView(
        empty: "There are no such events.",
        [
            ("SEQ", plain("seq")), ("AT", { item, _ in Words.moment(item["at"]) }), ("TYPE", plain("type")),
            ("ACTOR", plain("actor")), ("TASK", plain("taskId")), ("AGENT", plain("agent")),
            ("DATA", short("data", 80)),
        ])

    public static let audit = ListView(
        empty: "Nothing was done yet.",
        [
            ("NUMBER", plain("number")), ("AT", { item, _ in Words.moment(item["at"]) }), ("ACTION", plain("action")),
            ("ACTOR", plain("actor")), ("TARGET", plain("target")), ("DETAIL", short("detail", 80)),
        ])

    public static let keys = ListView(
        empty: "There are no keys.",
        [
            ("KEY", plain("id")), ("ROLE", plain("role")), ("NAME", plain("name")), ("AGENT", plain("agent")),
            ("MADE", age("createdAt")), ("USED", age("lastUsedAt")), ("REVOKED", age("revokedAt")),
            ("ENDS", { item, now in item["revokedAt"]?.string == nil ? Words.age(item["retiresAt"], at: now) : "-" }),
        ])

    public static let secrets = ListView(
        empty: "There are no such secrets. `reeve secrets set PATH < FILE` writes one.",
        [
            ("SECRET", plain("path")), ("VERSION", plain("version")),
            ("AGE", { item, _ in item["age"]?.double.map { Words.span($0) } ?? "-" }),
            ("HOLDERS", { item, _ in String(item["holders"]?.array?.count ?? 0) }),
            (
                "DUE",
                { item, now in
                    item["rotation"]?["due"]?.bool == true ? "now" : Words.age(item["rotation"]?["dueAt"], at: now)
                }
            ),
        ])

    public static let alerts = ListView(
        empty: "There are no such alerts.",
        [
            ("STATE", plain("state")), ("SEVERITY", { item, _ in Words.plain(item["labels"]?["severity"]) }),
            ("ALERT", { item, _ in Words.plain(item["labels"]?["alertname"]) }), ("SINCE", age("activeAt")),
            ("ABOUT", about), ("INCIDENT", plain("incident")),
            ("SUMMARY", { item, _ in TextWidth.cut(Words.plain(item["annotations"]?["summary"]), to: 60) }),
        ])

    /// The labels that say what an alert is about.
    private static let about: Cell = { item, _ in
        let known: Set<String> = ["alertname", "severity", "failure_mode"]
        let labels = (item["labels"]?.object?.members ?? []).filter { !known.contains($0.name) }
        return TextWidth.cut(labels.map { "\($0.name)=\($0.value.string ?? "")" }.joined(separator: " "), to: 48)
    }

    public static let incidents = ListView(
        empty: "There are no such incidents. Alerts open them, and so does `reeve incidents open TITLE`.",
        [
            ("INCIDENT", plain("id")), ("SEVERITY", plain("severity")), ("STATE", plain("state")),
            ("DETECTED", { item, now in Words.age(item["milestones"]?["detectedAt"], at: now) }),
            ("MODE", plain("mode")), ("TITLE", short("title", 60)),
        ])

    public static let incidentEntries = ListView(
        empty: "Nothing was written down.",
        [
            ("TIME", plain("time")), ("KIND", plain("kind")), ("WHAT", plain("action")),
            ("WITH", short("target", 48)), ("BY", plain("actor")),
            (
                "SAYS",
                { item, _ in
                    let detail = item["detail"]
                    let said = ["text", "note", "summary", "reason", "cause"].lazy.compactMap { detail?[$0]?.string }
                    return TextWidth.cut(said.first ?? "", to: 60)
                }
            ),
        ])

    public static let legalHolds = ListView(
        empty: "There are no holds. `reeve telemetry hold place --agent NAME --reason WHY` puts one.",
        [
            ("HOLD", plain("id")), ("CORRELATION", short("correlationId", 32)), ("TRACE", plain("traceId")),
            ("AGENT", plain("agent")), ("SUBJECT", short("subject", 32)), ("SINCE", plain("since")),
            ("UNTIL", plain("until")), ("REASON", short("reason", 40)), ("BY", plain("createdBy")),
            ("LIFTED", age("liftedAt")),
        ])

    public static let schedules = ListView(
        empty: "There are no schedules. `reeve schedules create --name NAME --cron '0 8 * * *'` makes one.",
        [
            ("SCHEDULE", plain("name")), ("WHEN", plain("description")), ("CRON", plain("cron")),
            ("NEXT", age("nextAt")), ("LAST", age("lastAt")), ("LAST TASK", plain("lastTaskId")),
            ("PAUSED", pause), ("TROUBLE", short("lastError", 40)),
        ])

    public static let calls = ListView(
        empty: "There are no such calls. Programs under `reeve run` make them by themselves.",
        [
            ("CALL", plain("id")), ("STATUS", plain("status")), ("BEGAN", age("startedAt")), ("AGENT", plain("agent")),
            ("MODEL", short("model", 30)), ("TARGET", short("target", 40)), ("TOKENS", tokens),
            ("COST", { item, _ in item["cost"]?.object == nil ? "?" : Words.dollars(item["cost"]?["nanoUSD"]) }),
            ("MS", plain("durationMs")), ("FAILURE", short("failure", 24)),
        ])

    /// All counts together, with a sign before what is a guess.
    private static let tokens: Cell = { item, _ in
        let counts = item["usage"]?["buckets"]?.object?.members.compactMap(\.value.int) ?? []
        let total = counts.reduce(Int64(0)) { $0.addingReportingOverflow($1).partialValue }
        return (item["usage"]?["estimated"]?.bool == true ? "~" : "") + String(total)
    }

    public static let callAttempts = ListView(
        empty: "No provider was asked.",
        [
            ("TARGET", short("target", 50)), ("BEGAN", { item, _ in Words.moment(item["startedAt"]) }),
            ("MS", plain("durationMs")), ("STATUS", plain("status")), ("FAILURE", plain("failure")),
            ("COST", { item, _ in Words.dollars(item["costNanoUSD"]) }),
        ])

    /// Sums by agent, project, …; the word is the first column's title.
    public static func costs(by dimension: String) -> ListView {
        ListView(
            empty: "Nothing was spent in these days.",
            [
                (dimension.uppercased(), short("name", 60)), ("COST", { item, _ in Words.dollars(item["nanoUSD"]) }),
                ("CALLS", plain("calls")), ("FAILED", plain("failed")),
                ("TOKENS", { item, _ in Words.plain(item["tokens"]?["total"]) }),
                (
                    "LOST",
                    { item, _ in
                        let lost = item["lost"]
                        let parts = [lost?["retriesNanoUSD"]?.int ?? 0, lost?["abortedNanoUSD"]?.int ?? 0]
                        return Words.dollars(.int(parts[0].addingReportingOverflow(parts[1]).partialValue))
                    }
                ),
                ("SAVED", { item, _ in Words.dollars(item["savedNanoUSD"]) }),
                ("UNPRICED", plain("unpricedCalls")), ("ACCEPTED", plain("acceptedDeliverables")),
                ("EACH", { item, _ in Words.dollars(item["nanoUSDPerAccepted"]) }),
            ])
    }

    /// One event on one line, for a stream of them.
    public static func line(_ event: JSONValue) -> String {
        let subject = event["taskId"]?.string ?? event["agent"]?.string ?? ""
        let parts = [
            Words.clock(event["at"]), Words.plain(event["type"]), subject, Words.plain(event["actor"]),
            Words.plain(event["data"]),
        ]
        return Terminal.printable(parts.filter { !$0.isEmpty && $0 != "-" }.joined(separator: "  "))
    }
}
