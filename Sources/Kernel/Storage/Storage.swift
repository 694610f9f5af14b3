/// The store behind every feature: SQLite in the data directory, or PostgreSQL.
///
/// Bodies are synchronous, so that nobody can hold a write lock across a model call, and pure but for their
/// transaction, as a lost connection may run one again.
public protocol Storage: Sendable {
    var dialect: SQLDialect { get }

    /// Runs a change. It is returned from only after the change is durable; a body that throws leaves no trace.
    ///
    /// Changes run one after the other, in all replicas together, and many share one commit.
    @discardableResult
    func write<Value: Sendable>(
        _ urgency: WriteUrgency, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value

    /// Runs a query on a consistent snapshot that includes every change acknowledged before.
    func read<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value

    /// Finishes what was accepted, then closes every connection.
    func close() async
}

/// How long a change may wait for others to share its commit.
public enum WriteUrgency: Sendable {
    /// For nobody: it goes with whatever waits at this moment.
    case now
    /// A few milliseconds where the store is busy, for what comes often and from many: heartbeats.
    case soon
}

extension Storage {
    @discardableResult
    public func write<Value: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await write(.now, body)
    }
}

/// The few places where the two engines' SQL differs.
public enum SQLDialect: String, Sendable, CaseIterable {
    case sqlite
    case postgres

    /// A schema statement for this engine, from one written with SQLite's type names.
    ///
    /// PostgreSQL gets 64-bit integers, and text in code point order, so that both engines sort alike.
    public func schema(_ statement: String) -> String {
        guard self == .postgres else { return statement }
        let words: [(String, String)] = [
            (" INTEGER", " BIGINT"), (" REAL", " DOUBLE PRECISION"), (" BLOB", " BYTEA"),
            (" TEXT", " TEXT COLLATE \"C\""), (") STRICT", ")"), (", WITHOUT ROWID", ""),
        ]
        return words.reduce(statement) { $0.replacingWords($1.0, with: $1.1) }
    }
}

extension String {
    fileprivate func replacingWords(_ word: String, with replacement: String) -> String {
        split(separator: word, omittingEmptySubsequences: false).joined(separator: replacement)
    }
}

/// One transaction in progress; lives on its connection's thread for the length of one body.
public final class Transaction {
    public let dialect: SQLDialect
    private let connection: any SQLConnection
    private let isCareful: Bool
    private let memory: GroupMemory
    private var actions: [@Sendable () -> Void] = []
    private var notes: Set<String> = []
    private var waitingHead = ""
    /// The values of all rows that wait, one behind the other.
    private var waitingValues: [SQLValue] = []
    private var waitingRows = 0

    /// - Parameter isCareful: whether parts are prepared to be undone alone.
    init(_ connection: any SQLConnection, isCareful: Bool = true, memory: GroupMemory = GroupMemory()) {
        self.connection = connection
        self.dialect = connection.dialect
        self.isCareful = isCareful
        self.memory = memory
    }

    /// The first fault of a statement. A body that catches one fails all the same, on both engines.
    private(set) var fault: StorageFault?

    /// Whether a statement ran that may have changed something.
    private(set) var hasWritten = false
    /// Whether a part failed that had changed something, and was not prepared to be undone alone.
    private(set) var needsCare = false

    public func rows(_ sql: SQLText) throws -> [StoredRow] {
        if !sql.text.utf8.starts(with: "SELECT".utf8) { hasWritten = true }
        return try noting { try connection.rows(sql) }
    }

    public func first(_ sql: SQLText) throws -> StoredRow? { try rows(sql).first }

    /// Runs a change and returns how many rows it touched.
    @discardableResult
    public func run(_ sql: SQLText) throws -> Int {
        hasWritten = true
        return try noting { try connection.run(sql) }
    }

    /// Adds a row that nothing of this transaction reads: rows of one statement's text that come together are written
    /// together, at the latest with the end of the change.
    ///
    /// - Parameter head: the statement up to and with `VALUES`.
    /// - Parameter row: appends the row's values, as many each time.
    public func addLater(_ head: String, _ row: (inout [SQLValue]) -> Void) throws {
        hasWritten = true
        if waitingRows == Self.rowsTogetherMax || waitingHead != head { try addWaiting() }
        waitingHead = head
        row(&waitingValues)
        waitingRows += 1
    }

    /// The same for a row that is there already.
    public func addLater(_ head: String, _ row: [SQLValue]) throws {
        try addLater(head) { $0.append(contentsOf: row) }
    }

    /// Writes the rows of ``addLater(_:_:)`` that wait.
    public func addWaiting() throws {
        guard waitingRows > 0 else { return }
        let width = waitingValues.count / waitingRows
        let row = "(" + String(repeating: "?, ", count: width - 1) + "?)"
        var values: [SQLValue] = []
        swap(&values, &waitingValues)
        var rows = waitingRows
        waitingRows = 0
        while rows > 0 {
            // Powers of two, so that few statements stay prepared.
            var count = 1
            while count * 2 <= rows { count *= 2 }
            let text = waitingHead + " " + row + String(repeating: ", " + row, count: count - 1)
            rows -= count
            let isLast = rows == 0
            try run(SQLText(text, isLast ? values : Array(values.prefix(count * width))))
            if !isLast { values.removeFirst(count * width) }
        }
    }

    /// Rows that one statement adds at most: an engine takes 32,766 values in all.
    static let rowsTogetherMax = 64

    /// Runs a statement of the schema, without values.
    public func define(_ statement: String) throws {
        hasWritten = true
        try noting { try connection.execute(dialect.schema(statement)) }
    }

    private func noting<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch {
            fault = fault ?? error as? StorageFault ?? .failed("\(error)")
            throw error
        }
    }

    /// Whether `note` comes for the first time in this transaction: for what need be written once however often it
    /// happens. Forgotten with a part that is undone.
    public func isFirst(_ note: String) -> Bool { notes.insert(note).inserted }

    /// What `read` finds, read once for all changes that share a commit: nobody else writes meanwhile. Whoever changes
    /// it says so with ``keep(_:as:)`` or ``forget(_:)``.
    public func remembered<Value: Sendable>(_ name: String, _ read: () throws -> Value) throws -> Value {
        // In two steps: an optional that is not there could be taken for a value that is `nil`.
        if let held = memory.values[name], let known = held as? Value { return known }
        let value = try read()
        memory.values[name] = value
        return value
    }

    public func keep(_ value: some Sendable, as name: String) { memory.values[name] = value }

    public func forget(_ name: String) { memory.values[name] = nil }

    /// What to do once this change is durable, such as waking those who wait for it. Never runs if it is not kept.
    public func afterCommit(_ action: @escaping @Sendable () -> Void) { actions.append(action) }

    /// Runs a part that is undone alone where it throws: one item of a batch, judged by itself.
    public func part<Value>(_ body: () throws -> Value) throws -> Value {
        guard isCareful else { return try carelessPart(body) }
        let (actionsBefore, faultBefore) = (actions.count, fault)
        try addWaiting()
        try connection.execute("SAVEPOINT part")
        do {
            let value = try body()
            try addWaiting()
            if faultBefore == nil, let fault { throw fault }
            try connection.execute("RELEASE SAVEPOINT part")
            return value
        } catch {
            actions.removeLast(actions.count - actionsBefore)
            notes = []
            waitingRows = 0
            waitingValues = []
            memory.values = [:]
            if connection.isUsable, connection.isInTransaction {
                try connection.execute("ROLLBACK TO SAVEPOINT part")
                try connection.execute("RELEASE SAVEPOINT part")
                // Undone with the part, unless it concerns the whole transaction.
                switch fault {
                case .constraint, .timeout, .failed: fault = faultBefore
                default: break
                }
            }
            throw error
        }
    }

    /// A part that was refused before it changed anything leaves nothing to undo. Where there is something, the whole
    /// transaction runs again, with care.
    private func carelessPart<Value>(_ body: () throws -> Value) throws -> Value {
        let (actionsBefore, hadWritten) = (actions.count, hasWritten)
        hasWritten = false
        defer { hasWritten = hasWritten || hadWritten }
        do {
            let value = try body()
            if let fault { throw fault }
            return value
        } catch {
            actions.removeLast(actions.count - actionsBefore)
            if hasWritten || fault != nil { needsCare = true }
            throw error
        }
    }

    func takeActions() -> [@Sendable () -> Void] {
        defer { actions = [] }
        return actions
    }
}

/// What changes that share a commit have read, and the later ones need not read again. Void once one is undone.
final class GroupMemory {
    var values: [String: any Sendable] = [:]
}

/// One connection to an engine, used by one thread. The drivers implement it; nothing else sees it.
protocol SQLConnection: AnyObject {
    var dialect: SQLDialect { get }
    func rows(_ sql: SQLText) throws -> [StoredRow]
    func run(_ sql: SQLText) throws -> Int
    /// Runs statements without values: transaction control and schema.
    func execute(_ script: String) throws
    /// Whether a transaction is open: an engine may end one by itself, such as on a full disk.
    var isInTransaction: Bool { get }
    /// Whether the connection can still be used.
    var isUsable: Bool { get }
    func close()
}

/// What an engine reported, in the terms that callers act on.
public enum StorageFault: Error, Sendable {
    /// A unique index, foreign key or check refused the change; the text names it.
    case constraint(String)
    /// Another transaction was in the way; running it again will help.
    case retriable(String)
    /// No room left on the disk.
    case full(String)
    /// The connection broke or could not be made.
    case connectionLost(String)
    /// The connection broke during commit: kept or not, nobody knows.
    case outcomeUnknown(String)
    /// It took longer than a statement may.
    case timeout(String)
    /// The file or the server failed in another way.
    case failed(String)

    /// What the engine said, for the log and for whoever starts Reeve.
    public var reason: String {
        switch self {
        case .constraint(let reason), .retriable(let reason), .full(let reason), .connectionLost(let reason),
            .outcomeUnknown(let reason), .timeout(let reason), .failed(let reason):
            reason
        }
    }

    /// How a caller of the interface hears of it. The engine's words stay in `cause`.
    public var problem: Problem {
        switch self {
        case .full:
            Problem(
                .storageFull, "The store has no room left, and nothing was changed.",
                hint: "Free disk space in the data directory; Reeve goes on by itself.", retryAfterSeconds: 5,
                cause: self)
        case .connectionLost, .retriable, .timeout:
            Problem(
                .storageUnavailable, "The store did not answer in time, and nothing was changed.",
                hint: "Send the same request again.", retryAfterSeconds: 1, cause: self)
        case .outcomeUnknown:
            Problem(
                .outcomeUnknown, "The connection to the store broke while the change was being kept.",
                hint: "Send the same request again with the same Idempotency-Key.", retryAfterSeconds: 1, cause: self)
        case .constraint, .failed:
            Problem(
                .internalError, "The store refused the change.",
                hint: "Report the requestId to whoever runs Reeve.", cause: self)
        }
    }
}
