/// Carries requests to a ClickHouse over HTTP.
public protocol ClickHouseTransport: Sendable {
    /// Posts a request.
    ///
    /// - Throws: ``ClickHouseFault/away(_:)`` where nothing answers in time.
    func post(_ request: ClickHouseRequest) async throws(ClickHouseFault) -> ClickHouseReply
}

/// What is posted to a ClickHouse.
public struct ClickHouseRequest: Sendable {
    public let url: String
    public let headers: [(name: String, value: String)]
    public let body: [UInt8]
    public let timeout: Duration
    /// Bytes of an answer that are read; a longer one is a fault.
    public let replyBytesMax: Int
}

/// What it answers.
public struct ClickHouseReply: Sendable {
    public let status: Int
    public let body: [UInt8]

    public init(status: Int, body: [UInt8]) { (self.status, self.body) = (status, body) }
}

/// Why ClickHouse did not do what it was asked.
public enum ClickHouseFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// Nothing answers; whether a request was done is not known.
    case away(String)
    /// It says no, with the number of its error where it gives one.
    case refused(code: Int?, String)
    /// Its answer is none that can be read.
    case unreadable(String)

    /// Whether a query took more than its time: ClickHouse's TIMEOUT_EXCEEDED (ErrorCodes.cpp).
    var isLate: Bool {
        if case .refused(159, _) = self { return true }
        return false
    }

    public var description: String {
        switch self {
        case .away(let reason): "ClickHouse does not answer: \(reason)"
        case .refused(_, let reason): "ClickHouse refuses: \(reason)"
        case .unreadable(let reason): "what ClickHouse answers cannot be read: \(reason)"
        }
    }
}
