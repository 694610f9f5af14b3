import Foundation
import Kernel
import Synchronization

/// Speaks with a ClickHouse over HTTP, and knows whether it answered last.
final class ClickHouseConnection: Sendable {
    /// So long may an insert take.
    static let insertMax = Duration.seconds(60)
    /// So long may a question take beyond the time it is given.
    static let questionMax = Duration.seconds(30)
    static let replyBytesMax = 256 << 20
    /// Characters of what ClickHouse says that are passed on.
    private static let reasonMax = 500

    let address: ClickHouseAddress
    private let transport: any ClickHouseTransport
    private let entropy: any Entropy
    private let lastFault = Mutex<ClickHouseFault?>(nil)

    init(_ address: ClickHouseAddress, transport: any ClickHouseTransport, entropy: any Entropy) {
        (self.address, self.transport, self.entropy) = (address, transport, entropy)
    }

    /// What went wrong last; `nil` while it answers.
    var fault: ClickHouseFault? { lastFault.withLock { $0 } }

    /// Runs a statement that has no values from outside, and no answer.
    func run(statement: String) async throws(ClickHouseFault) {
        _ = try await ask(ClickHouseQuery(stringLiteral: statement), longest: Self.questionMax)
    }

    /// Asks, and hands out the rows as `RowBinary`; the query says `FORMAT RowBinary` itself.
    ///
    /// - Parameter longest: ClickHouse ends the query by itself after so much time.
    func ask(_ query: ClickHouseQuery, longest: Duration) async throws(ClickHouseFault) -> [UInt8] {
        let (text, tables) = query.rendered()
        let seconds = max(1, Int(longest.components.seconds))
        var parameters = [("wait_end_of_query", "1"), ("max_execution_time", String(seconds))]
        for table in tables {
            parameters.append(("\(table.name)_structure", table.structure))
            parameters.append(("\(table.name)_format", "RowBinary"))
        }
        let form = Form(text, tables, boundary: Hexadecimal.encode(entropy.bytes(24)))
        return try await post(
            parameters, [("content-type", form.contentType)], form.bytes, longest + .seconds(5))
    }

    /// Inserts rows.
    ///
    /// - Parameters:
    ///   - statement: Ends in `FORMAT RowBinary`.
    ///   - rows: So many columns as the statement names.
    func insert(_ statement: String, rows: [UInt8]) async throws(ClickHouseFault) {
        _ = try await post(
            [("query", statement), ("wait_end_of_query", "1")], [("content-type", "application/octet-stream")], rows,
            Self.insertMax)
    }

    private func post(
        _ parameters: [(String, String)], _ headers: [(name: String, value: String)], _ body: [UInt8],
        _ timeout: Duration
    ) async throws(ClickHouseFault) -> [UInt8] {
        let all = [("database", address.database)] + parameters
        let query = all.map { "\($0.0)=\(Self.encoded($0.1))" }.joined(separator: "&")
        // Neither stands in the address, which servers and proxies write into their logs.
        let key = [(name: "x-clickhouse-user", value: address.user), ("x-clickhouse-key", address.password)]
        let request = ClickHouseRequest(
            url: "\(address.url)?\(query)", headers: key + headers, body: body, timeout: timeout,
            replyBytesMax: Self.replyBytesMax)
        do throws(ClickHouseFault) {
            let reply = try await transport.post(request)
            guard reply.status == 200 else { throw Self.refusal(reply) }
            lastFault.withLock { $0 = nil }
            return reply.body
        } catch {
            // A query that takes too long says nothing of the server.
            if !error.isLate { lastFault.withLock { $0 = error } }
            throw error
        }
    }

    /// From `Code: 60. DB::Exception: …` (ClickHouse's HTTPHandler).
    private static func refusal(_ reply: ClickHouseReply) -> ClickHouseFault {
        let text = String(decoding: reply.body.prefix(4 * reasonMax), as: UTF8.self)
        let digits = text.hasPrefix("Code: ") ? text.dropFirst(6).prefix { $0.isNumber } : ""
        let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? "status \(reply.status)"
        return .refused(code: Int(digits), String(line.prefix(reasonMax)))
    }

    private static func encoded(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    }

    /// A query and its tables as `multipart/form-data`: an address has no room for many conditions.
    private struct Form {
        let contentType: String
        private(set) var bytes: [UInt8] = []

        /// - Parameter boundary: Drawn for this request, so that no value can have it.
        init(_ query: String, _ tables: [ClickHouseQuery.Table], boundary: String) {
            contentType = "multipart/form-data; boundary=\(boundary)"
            func add(_ disposition: String, _ content: some Sequence<UInt8>) {
                bytes += "--\(boundary)\r\nContent-Disposition: form-data; \(disposition)\r\n\r\n".utf8
                bytes += content
                bytes += "\r\n".utf8
            }
            add("name=\"query\"", query.utf8)
            for table in tables { add("name=\"\(table.name)\"; filename=\"\(table.name)\"", table.rows) }
            bytes += "--\(boundary)--\r\n".utf8
        }
    }
}
