import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control
@testable import Server

/// What shipped runbooks ask is answered by the interface as it is: a filter that a list does not know would be passed
/// over, and what has nothing to do with it be shown.
@Suite("Questions of shipped runbooks")
struct RunbookQuestionTests {
    @Test("a list's filters are those of its route", arguments: Runbook.Question.Kind.allCases)
    func filters(_ kind: Runbook.Question.Kind) async throws {
        guard let filters = kind.filters else { return }
        try await withApp { client in
            let document = try await client.get("/api/v1/openapi.json", key: try await client.key(.viewer)).json
            let parameters = document["paths"]?["/api/v1/\(kind.rawValue)"]?["get"]?["parameters"]?.array ?? []
            let names = Set(parameters.compactMap { $0["name"]?.string }).subtracting(["after"])
            #expect(filters == names)
        }
    }

    @Test("each is answered")
    func answered() async throws {
        try await withApp { client in
            let key = try await client.key(.operator_)
            for runbook in RunbookLibrary.shipped.runbooks {
                for question in runbook.diagnosis + runbook.stops + runbook.verify {
                    let filled = RunbookSubjects.places(in: question.text).reduce(question.text) {
                        $0.replacing("{{\($1)}}", with: "x")
                    }
                    let path =
                        switch question.kind {
                        case .query: PagePath.query("\(QueryRoutes.root)/api/v1/query", [("query", filled)])
                        case .logs, .traces, .tasks: "/api/v1/\(question.kind.rawValue)?\(filled)"
                        case .api: filled
                        }
                    let reply = try await client.get(path, key: key)
                    // An address that there is, of something that there is not.
                    let isMissing = reply.json["detail"]?.string?.contains("\"x\"") == true
                    #expect(
                        reply.status == 200 || isMissing, "\(runbook.name), \(question.title): \(path): \(reply.text)")
                }
            }
        }
    }
}
