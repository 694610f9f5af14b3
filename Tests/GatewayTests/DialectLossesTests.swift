import Foundation
import Kernel
import Testing

@testable import Gateway

/// The table of losses says what the translation does, and the reference says what the table says.
struct DialectLossesTests {
    static let bases: [Dialect: String] = [
        .chat: #"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#,
        .responses: #"{"model":"m","input":"Hi"}"#,
        .messages: #"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#,
    ]

    static let requests = DialectLosses.requests.flatMap { table in table.rows.map { (table, $0) } }
    static let replies = DialectLosses.replies.flatMap { table in table.rows.map { (table, $0) } }

    @Test(arguments: requests.indices)
    func aRequestRowIsTrue(_ index: Int) throws {
        let (table, row) = Self.requests[index]
        var body = try #require(try DialectSamples.json(Self.bases[table.source] ?? "").object)
        let sample = try #require(try DialectSamples.json("{\(row.sample)}").object)
        for member in sample.members { body[member.name] = member.value }
        let refusal = try DialectSamples.refusal(
            JSONValue.object(body).text, table.source, table.target, model: table.model)
        guard refusal == nil else {
            #expect(row.effect == .refused, "\(row.field): \(refusal?.message ?? "")")
            #expect(refusal?.param.map(Self.head) == Self.head(sample.names[0]))
            return
        }
        let translated = try TranslatedRequest.translate(
            .object(body), from: table.source, to: table.target, model: table.model)
        let strict = try DialectSamples.refusal(
            JSONValue.object(body).text, table.source, table.target, model: table.model, isStrict: true)
        switch row.effect {
        case .kept, .changed:
            #expect(translated.dropped.paths == [], "\(row.field)")
            #expect(strict == nil)
        case .dropped:
            #expect(translated.dropped.count == 1, "\(row.field): \(translated.dropped.paths)")
            #expect(strict?.param == translated.dropped.paths.first)
            #expect(translated.dropped.paths.first.map(Self.head) == Self.head(sample.names[0]))
        case .refused: Issue.record("\(row.field) is not refused")
        }
    }

    private static func head(_ path: String) -> String { String(path.prefix { $0 != "." && $0 != "[" }) }

    @Test(arguments: replies.indices)
    func aReplyRowIsTrue(_ index: Int) throws {
        let (table, row) = Self.replies[index]
        let reply = try table.source.readReply(try DialectSamples.json("{\(row.sample)}"))
        let written = table.target.writeReply(reply, ReplyContext(createdAt: 1)).text
        #expect(written.contains(row.trace) == (row.effect != .dropped), "\(row.what): \(written)")
    }

    @Test func theReferenceIsInStep() throws {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/reference/dialects.md")
        if ProcessInfo.processInfo.environment["REEVE_UPDATE_DOCS"] != nil {
            try Data(DialectLosses.page.utf8).write(to: url)
        }
        let page = try? String(contentsOf: url, encoding: .utf8)
        #expect(page == DialectLosses.page, "docs/reference/dialects.md is behind: run script/docs")
    }
}
