import Kernel
import TestSupport
import Testing

@testable import Server

/// Heads that come again on a connection pass by the decoder: that may change nothing.
@Suite("Repeated heads")
struct RepeatedHeadTests {
    /// One request, and what its answer is known by.
    private struct Exchange {
        let text: String
        let status: Substring
        /// Stands in the answer.
        let mark: String
    }

    private static func post(_ head: String, _ key: String, name: String, isChunked: Bool = false) -> Exchange {
        let body = #"{"role":"viewer","name":"\#(name)"}"#
        let framing =
            isChunked
            ? "Transfer-Encoding: chunked\r\n\r\n\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
            : "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        return Exchange(
            text: "POST /api/v1/keys HTTP/1.1\r\nHost: x\r\n\(head)Authorization: Bearer \(key)\r\n" + framing,
            status: "201", mark: #""name":"\#(name)""#)
    }

    private static func exchanges(_ count: Int, _ key: String, _ random: inout SeededEntropy) -> [Exchange] {
        (0..<count).map { number in
            let name = "n\(number)-" + String(repeating: "a", count: Int.random(in: 0...60, using: &random))
            return switch Int.random(in: 0..<10, using: &random) {
            case 0..<4: post("", key, name: name)
            case 4: post("content-type: application/json\r\n", key, name: name)
            case 5: post("X-Number: \(number)\r\n", key, name: name)
            case 6: post("", key, name: name, isChunked: true)
            case 7:
                Exchange(
                    text: "GET /api/v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(key)\r\n\r\n", status: "200",
                    mark: #""role":"admin""#)
            case 8:
                Exchange(
                    text: "GET /nothing/\(number % 3) HTTP/1.1\r\nHost: x\r\nX-Api-Key: \(key)\r\n\r\n", status: "404",
                    mark: "/nothing/\(number % 3)")
            default:
                Exchange(
                    text: "GET /api/v1/me HTTP/1.1\r\nHost: x\r\nX-Api-Key: \(key)\r\ncontent-length: 0\r\n\r\n",
                    status: "200", mark: #""role":"admin""#)
            }
        }
    }

    @Test("requests are answered the same wherever their bytes are cut", arguments: 1...6 as ClosedRange<UInt64>)
    func cuts(_ seed: UInt64) async throws {
        try await withApp { client in
            var random = SeededEntropy(seed: seed)
            let key = try await client.key(.admin)
            var exchanges = Self.exchanges(60, key, &random)
            exchanges.append(
                Exchange(
                    text: "GET /api/v1/me HTTP/1.1\r\nHost: x\r\nX-Api-Key: \(key)\r\nConnection: close\r\n\r\n",
                    status: "200", mark: #""role":"admin""#))
            let bytes = Array(exchanges.map(\.text).joined().utf8)
            var pieces: [String] = []
            var start = 0
            while start < bytes.count {
                let end = min(bytes.count, start + Int.random(in: 1...700, using: &random))
                pieces.append(String(decoding: bytes[start..<end], as: UTF8.self))
                start = end
            }
            let answer = try await AppSocket.exchange(port: client.port, pieces)
            let answers = answer.split(separator: "HTTP/1.1 ")
            #expect(answers.map { $0.prefix(3) } == exchanges.map(\.status))
            for (answer, exchange) in zip(answers, exchanges) { #expect(answer.contains(exchange.mark)) }
        }
    }

    @Test("a key that is revoked is refused on the connection that it came by")
    func revoked() async throws {
        try await withApp { client in
            let admin = try await client.key(.admin)
            let issued = try await client.send(
                "POST", "/api/v1/keys", key: admin, body: Array(#"{"role":"viewer","name":"v"}"#.utf8))
            let key = try #require(issued["key"]?.string ?? issued["secret"]?.string)
            let id = try #require(issued["id"]?.string)
            let request = "GET /api/v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(key)\r\n\r\n"
            let socket = try await AppSocket(port: client.port)
            for _ in 0..<5 {
                try await socket.send(request)
                #expect(try await socket.read(until: "}").hasPrefix("HTTP/1.1 200"))
            }
            #expect(try await client.delete("/api/v1/keys/\(id)", key: admin).status < 300)
            try await socket.send(request)
            #expect(try await socket.read(until: "}").hasPrefix("HTTP/1.1 401"))
        }
    }

    @Test(
        "a length that a known head has not had before is judged like any other",
        arguments: [
            ("20000000", "413"), ("99999999999", "413"), ("99999999999999999999999", "400"), ("-1", "400"),
            ("1 1", "400"), ("0x10", "400"), ("", "400"),
        ])
    func lengths(_ length: String, _ status: String) async throws {
        try await withApp { client in
            let key = try await client.key(.admin)
            let socket = try await AppSocket(port: client.port)
            for name in ["one", "two", "three"] {
                try await socket.send(Self.post("", key, name: name).text)
                #expect(try await socket.read(until: #""name":"\#(name)""#).hasPrefix("HTTP/1.1 201"))
            }
            try await socket.send(
                "POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(key)\r\n"
                    + "Content-Length: \(length)\r\n\r\n")
            let answer = try await socket.read(until: "detail")
            #expect(answer.contains("HTTP/1.1 \(status)"), "\(answer)")
        }
    }
}
