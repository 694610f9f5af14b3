/// The list of all settings. It drives reading, showing and the reference; a field that is not here cannot be set, and
/// a test compares it with the fields of ``Settings``.
public enum SettingsTable {
    public static let entries: [SettingsEntry] =
        http + storage + log + limits + agents + tasks + events
        + calls + batches + telemetry + incidents + oncall + secrets

    private static let byPath = Dictionary(uniqueKeysWithValues: entries.map { ($0.path, $0) })
    private static let byEnvironment = Dictionary(uniqueKeysWithValues: entries.map { ($0.environmentName, $0) })

    public static func entry(path: String) -> SettingsEntry? { byPath[path] }
    static func entry(environmentName: String) -> SettingsEntry? { byEnvironment[environmentName] }

    /// Variables that begin with `REEVE_` and are no settings: the clients and the programs that Reeve runs read them.
    public static let otherVariables: [(name: String, summary: String)] = [
        ("REEVE_URL", "The address of Reeve, for the client commands and for the programs that Reeve runs."),
        ("REEVE_KEY", "The key that the client commands and the programs that Reeve runs send."),
        ("REEVE_CONFIG", "The settings file, where no `--config` is given."),
        ("REEVE_AGENT", "The name of the agent that a program runs as."),
        ("REEVE_TASK_FILE", "The file with the task as JSON, for a command that `reeve work` runs."),
        ("REEVE_OUTPUT_DIR", "The folder whose files become deliverables, for a command that `reeve work` runs."),
    ]

    /// The beginning of variables that only tests read.
    public static let testVariablePrefix = "REEVE_TEST_"

    private static let http: [SettingsEntry] = [
        .text("http.host", \.http.host, "The address to listen on; `0.0.0.0` is every interface."),
        .int("http.port", \.http.port, 0...65_535, "", "The port to listen on; `0` takes a free one."),
        .address(
            "http.publicURL", \.http.publicURL, schemes: ["http", "https"],
            "The address under which people and agents reach Reeve, for links; host and port where it is absent."),
    ]

    private static let storage: [SettingsEntry] = [
        .text(
            "storage.dataDirectory", \.storage.dataDirectory,
            "The folder of everything that Reeve keeps: database, blobs, admin key."),
        .address(
            "storage.databaseURL", \.storage.databaseURL, schemes: ["postgres", "postgresql"],
            "The PostgreSQL database to use instead of SQLite in the data directory.", isSecret: true),
    ]

    private static let log: [SettingsEntry] = [
        .choice("log.level", \.log.level, "The least serious lines that Reeve's own log has."),
        .choice("log.format", \.log.format, "The form of log lines; `auto` is text on a terminal and JSON elsewhere."),
    ]

    private static let limits: [SettingsEntry] = [
        .int("limits.bodyBytes", \.limits.bodyBytes, 1_024...1 << 30, "bytes", "The largest body of a request."),
        .int(
            "limits.bodySeconds", \.limits.bodySeconds, 1...86_400, "seconds",
            "How long a request's body may take to come; one second more for each 10 kB of it."),
        .int("limits.jsonDepth", \.limits.jsonDepth, 4...256, "levels", "The deepest nesting of a JSON body."),
        .int(
            "limits.nameCharacters", \.limits.nameCharacters, 8...1_000, "characters",
            "The longest name of an agent, project, queue, task type or file."),
        .int(
            "limits.leaseSeconds", \.limits.leaseSeconds, 1...31_536_000, "seconds",
            "The longest lease that a worker may ask for."),
        .int(
            "limits.keyRequestsPerSecond", \.limits.keyRequestsPerSecond, 1...10_000_000, "requests a second",
            "How many requests one key may send."),
        .int(
            "limits.addressRequestsPerSecond", \.limits.addressRequestsPerSecond, 1...10_000_000, "requests a second",
            "How many requests one address may send without a valid key."),
        .int(
            "limits.failedLoginsPerMinute", \.limits.failedLoginsPerMinute, 1...100_000, "logins a minute",
            "How many logins from one address may fail."),
        .int("limits.pageRows", \.limits.pageRows, 1...10_000, "rows", "The longest page of a list."),
        .int(
            "limits.claimWaitSeconds", \.limits.claimWaitSeconds, 0...300, "seconds",
            "How long a claim may wait for a task."),
        .int(
            "limits.batchItems", \.limits.batchItems, 1...100_000, "items",
            "The most tasks of one claim or one batch completion, and events of one batch."),
        .int("limits.graphTasks", \.limits.graphTasks, 1...100_000, "tasks", "The largest graph of tasks."),
        .int(
            "limits.dependenciesPerTask", \.limits.dependenciesPerTask, 1...100_000, "tasks",
            "The most tasks that one task may depend on."),
        .int(
            "limits.deliverablesPerTask", \.limits.deliverablesPerTask, 1...100_000, "revisions",
            "The most deliverable revisions of one task."),
        .int(
            "limits.eventStreams", \.limits.eventStreams, 1...1_000_000, "streams",
            "The most live event streams at one time."),
        .int(
            "limits.flagStreams", \.limits.flagStreams, 1...1_000_000, "streams",
            "Programs that wait for changes of flags at one time."),
        .int(
            "limits.eventStreamLag", \.limits.eventStreamLag, 1...10_000_000, "events",
            "How far a live stream may lag behind before it is dropped with a place to resume from."),
    ]

    private static let agents: [SettingsEntry] = [
        .int(
            "agents.heartbeatSecondsMin", \.agents.heartbeatSecondsMin, 1...3_600, "seconds",
            "The shortest interval of heartbeats that agents are told."),
        .int(
            "agents.heartbeatsPerSecondTarget", \.agents.heartbeatsPerSecondTarget, 1...1_000_000,
            "heartbeats a second",
            "The rate that the whole fleet is held to: a larger fleet is told longer intervals."),
        .int(
            "agents.heartbeatGraceSeconds", \.agents.heartbeatGraceSeconds, 0...3_600, "seconds",
            "How late a heartbeat may be before its agent counts as unreachable."),
        .int(
            "agents.failoverGraceSeconds", \.agents.failoverGraceSeconds, 0...3_600, "seconds",
            "How long after a start nobody is declared dead, as nobody could be heard before."),
        .int(
            "agents.healthIntervalSeconds", \.agents.healthIntervalSeconds, 1...86_400, "seconds",
            "How often an agent's health address is asked."),
        .int(
            "agents.healthTimeoutSeconds", \.agents.healthTimeoutSeconds, 1...300, "seconds",
            "How long a health address may take to answer."),
        .int(
            "agents.healthRetries", \.agents.healthRetries, 0...100, "retries",
            "How many more times a health address is asked before its agent's health counts as failing."),
    ]

    private static let tasks: [SettingsEntry] = [
        .int(
            "tasks.leaseSecondsDefault", \.tasks.leaseSecondsDefault, 1...31_536_000, "seconds",
            "The lease of a claim that asks for none."),
        .int(
            "tasks.startSeconds", \.tasks.startSeconds, 1...86_400, "seconds",
            "How long a claimed task may wait for its first sign of work."),
        .int(
            "tasks.timeoutSecondsDefault", \.tasks.timeoutSecondsDefault, 1...31_536_000, "seconds",
            "How long one attempt may take, where the task does not say."),
        .int(
            "tasks.maxAttemptsDefault", \.tasks.maxAttemptsDefault, 1...1_000, "attempts",
            "How many attempts a task has, where it does not say."),
        .int(
            "tasks.leaseLossesMax", \.tasks.leaseLossesMax, 1...1_000, "losses",
            "How many lost leases hold a task back for a person."),
        .int(
            "tasks.reviewRoundsMax", \.tasks.reviewRoundsMax, 1...1_000, "rounds",
            "How many times a review may ask for changes, where the task does not say."),
        .int(
            "tasks.cancelGraceSeconds", \.tasks.cancelGraceSeconds, 0...86_400, "seconds",
            "How long a worker has to stop after a cancel before its task is taken away."),
        .int(
            "tasks.affinitySeconds", \.tasks.affinitySeconds, 0...86_400, "seconds",
            "How long a returned task waits for the agent that knows it before any may take it."),
        .int(
            "tasks.backoffBaseSeconds", \.tasks.backoffBaseSeconds, 1...86_400, "seconds",
            "The wait before the second attempt; it doubles with each further one."),
        .int(
            "tasks.backoffCapSeconds", \.tasks.backoffCapSeconds, 1...86_400, "seconds",
            "The longest wait between two attempts."),
        .int(
            "tasks.finishedRetentionDays", \.tasks.finishedRetentionDays, 1...36_500, "days",
            "How long finished tasks are kept."),
        .int(
            "tasks.sweepMilliseconds", \.tasks.sweepMilliseconds, 10...500, "milliseconds",
            "How often leases, timeouts and due tasks are looked at."),
    ]

    private static let calls: [SettingsEntry] = [
        .int(
            "calls.retentionDays", \.calls.retentionDays, 1...36_500, "days",
            "How long single model calls are kept; what they cost by day stays.")
    ]

    private static let batches: [SettingsEntry] = [
        .int(
            "batches.fileBytes", \.batches.fileBytes, 1_024...512 << 20, "bytes",
            "The largest file of a batch; it is in memory while it comes in."),
        .int(
            "batches.keptBytes", \.batches.keptBytes, 1_024...1 << 40, "bytes",
            "The most that one agent's files may have together."),
        .int("batches.lines", \.batches.lines, 1...100_000, "requests", "The most requests of one batch."),
        .int(
            "batches.parallel", \.batches.parallel, 1...1_000, "calls",
            "How many model calls batches make at one time, on each replica."),
        .int(
            "batches.retentionDays", \.batches.retentionDays, 1...3_650, "days",
            "How long files, and batches that ended, are kept."),
    ]

    private static func kept(
        _ category: String, _ path: any WritableKeyPath<Settings, Int> & Sendable, _ what: String
    ) -> SettingsEntry {
        .int("telemetry.\(category)Days", path, 1...36_500, "days", "How long telemetry is kept of \(what).")
    }

    private static let telemetry: [SettingsEntry] = [
        .address(
            "telemetry.storeURL", \.telemetry.storeURL, schemes: ["clickhouse", "clickhouses"],
            "The ClickHouse that keeps traces and logs instead of files in the data directory; `clickhouses://` speaks "
                + "TLS.", isSecret: true),
        .address(
            "telemetry.kafka", \.telemetry.kafka, schemes: ["kafka", "kafkas"],
            "Where every log record goes on to, as `kafka://host:9092,host:9092/topic`; `kafkas://` speaks TLS."),
        .int(
            "telemetry.kafkaQueueBytes", \.telemetry.kafkaQueueBytes, 1 << 20...1 << 40, "bytes",
            "How much may wait on the disk for Kafka; beyond it records do not go there, and are counted."),
        kept("reasoning", \.telemetry.reasoningDays, "what agents considered: their runs, plans and chains"),
        kept("tool", \.telemetry.toolDays, "calls of tools, searches and memory"),
        kept("model", \.telemetry.modelDays, "calls of models"),
        kept("system", \.telemetry.systemDays, "what is none of the others"),
        kept("error", \.telemetry.errorDays, "what failed"),
        kept("audit", \.telemetry.auditDays, "what was said to be for the audit"),
        kept("metrics", \.telemetry.metricsDays, "samples of metrics"),
        kept("keptTraces", \.telemetry.keptTracesDays, "traces with an error or a label, with their logs"),
        .int(
            "telemetry.keptTracesBytes", \.telemetry.keptTracesBytes, 1 << 20...1 << 50, "bytes",
            "How much of the disk traces may take whose own time is over; beyond it a trace is kept for its label, no "
                + "longer for its error."),
        .int(
            "telemetry.sampleInterval", \.telemetry.sampleInterval, 1...3_600, "seconds",
            "How often Reeve's own metrics become samples that queries find."),
        .int(
            "telemetry.spoolBytes", \.telemetry.spoolBytes, 1 << 20...1 << 40, "bytes",
            "How much telemetry may wait on the disk for its place in the archive; beyond it senders are told to come "
                + "again."),
        .int(
            "telemetry.diskQuota", \.telemetry.diskQuota, 1 << 20...1 << 50, "bytes",
            "How much of the disk telemetry may take before some of it is no longer kept: reasoning first, then tools, "
                + "then models and the rest; never errors and what is for the audit."),
        .flag(
            "telemetry.ownSpans", \.telemetry.ownSpans,
            "Whether Reeve tells of tasks and model calls as spans of its own."),
        .flag(
            "telemetry.gatewayContent", \.telemetry.gatewayContent,
            "Whether those spans have what models were asked and what they answered, without keys and tokens."),
        .int(
            "telemetry.liveSilenceSeconds", \.telemetry.liveSilenceSeconds, 1...604_800, "seconds",
            "After how long without a sign of life a span that runs counts as lost."),
    ]

    private static let secrets: [SettingsEntry] = [
        .file(
            "secrets.masterKeyFile", \.secrets.masterKeyFile,
            "The file of the key that seals secrets, with mode 0400; a relative path begins beside the settings file. "
                + "Where none of the three is set it is `master.key` in the data directory."),
        .int(
            "secrets.masterKeyDescriptor", \.secrets.masterKeyDescriptor, 0...1_023, "",
            "The open file that the key is read from, such as `3`; `0` for none."),
        .command(
            "secrets.masterKeyCommand", \.secrets.masterKeyCommand,
            "The shell command that prints the key, such as one that asks a KMS."),
        .optionalText(
            "secrets.rotationWindows", \.secrets.rotationWindows,
            "When values are rotated and when not, with `;` between: `deny 0 9 * * mon-fri 8h Europe/Berlin; allow "
                + "0 2 * * * 4h UTC`. What denies wins; where some allow, nothing is rotated outside of them."),
        .flag(
            "secrets.probePrivate", \.secrets.probePrivate,
            "Whether the calls that prove new values may go to this machine and private networks, and without TLS."),
        .flag(
            "secrets.findsKeys", \.secrets.findsKeys,
            "Whether keys, tokens and private keys of the known formats are taken out of what comes in, though Reeve "
                + "does not keep them."),
        .optionalText(
            "secrets.keyFormatsExcept", \.secrets.keyFormatsExcept,
            "The formats that are left alone, with commas between, such as `jwt, google_api_key`."),
    ]

    private static let oncall: [SettingsEntry] = [
        .file(
            "oncall.file", \.oncall.file,
            "The file of people, schedules and chains of escalation; a relative path begins beside the settings file.")
    ]

    private static let incidents: [SettingsEntry] = [
        .int(
            "incidents.quietMinutes", \.incidents.quietMinutes, 0...10_080, "minutes",
            "For how long an incident's alerts must stay quiet before it counts as verified."),
        .int(
            "incidents.resolveMinutes", \.incidents.resolveMinutes, 0...10_080, "minutes",
            "So long after it was verified an incident is resolved; `0` leaves that to people."),
        .int(
            "incidents.reopenMinutes", \.incidents.reopenMinutes, 0...10_080, "minutes",
            "An alert that comes back within this time after the end opens its incident again."),
        .int(
            "incidents.postmortemHours", \.incidents.postmortemHours, 1...8_760, "hours",
            "How long after an incident's end its postmortem is due."),
        .int(
            "incidents.retentionDays", \.incidents.retentionDays, 1...36_500, "days",
            "How long after its end an incident is kept, with its timeline, postmortem, containments and runs."),
        .int(
            "incidents.drillDays", \.incidents.drillDays, 1...36_500, "days", "How long drills that ended are listed."),
    ]

    private static let events: [SettingsEntry] = [
        .int(
            "events.retentionDays", \.events.retentionDays, 1...36_500, "days", "How long the event log is kept.")
    ]
}
