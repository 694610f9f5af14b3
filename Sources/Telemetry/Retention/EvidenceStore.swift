import Kernel

/// Which traces failed, gathered from the heads of spans: asked when a day's file is to be dropped, when it would take
/// too long to look through all other files.
struct EvidenceStore: Sendable {
    private let file: SQLiteFile

    init(folder: String) throws {
        file = try SQLiteFile(path: "\(folder)/evidence.db", schema: EvidenceSchema.statements, isErasing: true)
    }

    // MARK: What was looked at

    func seen(_ part: ArchivePart) throws -> Int64 {
        try file.read { try $0.first("SELECT block FROM seen WHERE part = \(part.fileName)")?.int("block") ?? 0 }
    }

    /// Keeps that these spans failed, and that their part was looked at up to this block.
    func add(_ failed: [SpanHead], of part: ArchivePart, through block: Int64) throws {
        try file.write { transaction in
            for head in failed {
                let (high, low) = (Int64(bitPattern: head.traceID.high), Int64(bitPattern: head.traceID.low))
                try transaction.run(
                    """
                    INSERT INTO failed_traces (high, low, day) VALUES (\(high), \(low), \(part.day))
                    ON CONFLICT (high, low) DO UPDATE SET day = max(day, excluded.day)
                    """)
                guard let id = head.correlationID else { continue }
                try transaction.run(
                    """
                    INSERT INTO failed_ids (id, day) VALUES (\(id), \(part.day))
                    ON CONFLICT (id) DO UPDATE SET day = max(day, excluded.day)
                    """)
            }
            try transaction.run(
                """
                INSERT INTO seen (part, block) VALUES (\(part.fileName), \(block))
                ON CONFLICT (part) DO UPDATE SET block = excluded.block
                """)
        }
    }

    // MARK: What failed

    func failed(_ traces: Set<TraceID>) throws -> Set<TraceID> {
        try file.read { transaction in
            try traces.filter { trace in
                let (high, low) = (Int64(bitPattern: trace.high), Int64(bitPattern: trace.low))
                return try transaction.first(
                    "SELECT 1 AS found FROM failed_traces WHERE high = \(high) AND low = \(low)") != nil
            }
        }
    }

    /// The correlation ids among these of which a span failed.
    func failed(_ ids: Set<String>) throws -> Set<String> {
        try file.read { transaction in
            try ids.filter { try transaction.first("SELECT 1 AS found FROM failed_ids WHERE id = \($0)") != nil }
        }
    }

    // MARK: What was gone through

    func state(_ part: ArchivePart) throws -> String? {
        try file.read { try $0.first("SELECT state FROM settled WHERE part = \(part.fileName)")?.text("state") }
    }

    func settle(_ part: ArchivePart, _ state: String) throws {
        _ = try file.write { transaction in
            try transaction.run(
                """
                INSERT INTO settled (part, state) VALUES (\(part.fileName), \(state))
                ON CONFLICT (part) DO UPDATE SET state = excluded.state
                """)
        }
    }

    // MARK: Clearing up

    /// Forgets what is known of a part: it is looked at again.
    func forget(_ part: ArchivePart) throws {
        try file.write { transaction in
            try transaction.run("DELETE FROM seen WHERE part = \(part.fileName)")
            try transaction.run("DELETE FROM settled WHERE part = \(part.fileName)")
        }
    }

    /// A part's blocks changed their ids: it is looked at again.
    func unsee(_ part: ArchivePart) throws {
        _ = try file.write { transaction in
            try transaction.run("DELETE FROM seen WHERE part = \(part.fileName)")
        }
    }

    /// Forgets correlation ids, and traces by their ids, that are as said.
    func forgetIDs(where isMeant: (String) -> Bool) throws {
        try file.write { transaction in
            for row in try transaction.rows("SELECT high, low FROM failed_traces") {
                let (high, low) = (row.int("high"), row.int("low"))
                let trace = TraceID(high: UInt64(bitPattern: high), low: UInt64(bitPattern: low))
                guard isMeant(trace.description) else { continue }
                try transaction.run("DELETE FROM failed_traces WHERE high = \(high) AND low = \(low)")
            }
            for row in try transaction.rows("SELECT id FROM failed_ids") where isMeant(row.text("id")) {
                try transaction.run("DELETE FROM failed_ids WHERE id = \(row.text("id"))")
            }
        }
        try file.settle()
    }

    /// Forgets what failed before this day.
    func forget(before day: Int) throws {
        try file.write { transaction in
            try transaction.run("DELETE FROM failed_traces WHERE day < \(day)")
            try transaction.run("DELETE FROM failed_ids WHERE day < \(day)")
        }
    }

    func close() throws { try file.close() }
}
