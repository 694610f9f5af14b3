import Kernel
import TestSupport
import Testing

@testable import Server

/// Vault's own method, which no decoder knows, however its bytes come.
@Suite("Heads with LIST")
struct ListHeadTests {
    private static func head(_ key: String, _ more: String = "") -> String {
        "LIST /v1/secret/metadata HTTP/1.1\r\nHost: x\r\nX-Vault-Token: \(key)\r\n\(more)\r\n"
    }

    private static func withSecret(_ body: @escaping @Sendable (AppClient, String) async throws -> Void) async throws {
        try await withApp { client in
            let key = try await client.key(.admin)
            _ = try await client.send(
                "PUT", "/api/v1/secrets/org/one", key: key, body: Array(#"{"value":"a value"}"#.utf8))
            try await body(client, key)
        }
    }

    /// Sends the pieces so that each comes in a read of its own: the server answers somebody else in between.
    private static func send(_ pieces: [Substring], on socket: AppSocket, _ client: AppClient) async throws {
        for piece in pieces {
            try await socket.send(String(piece))
            _ = try await client.get("/health", key: nil)
        }
    }

    @Test("it is known wherever its head is cut")
    func cuts() async throws {
        try await Self.withSecret { client, key in
            let text = Self.head(key)
            for cut in [1, 2, 3, 4, 5, 6, 20, text.utf8.count - 3, text.utf8.count - 1] {
                let socket = try await AppSocket(port: client.port)
                for _ in 0..<2 {
                    try await Self.send([text.prefix(cut), text.dropFirst(cut)], on: socket, client)
                    let answer = try await socket.read(until: #""keys":["org/"]"#)
                    #expect(answer.hasPrefix("HTTP/1.1 200"), "cut at \(cut): \(answer.prefix(200))")
                }
            }
        }
    }

    @Test("it is known behind other requests that came in pieces, and a body that begins with its name is left alone")
    func behind() async throws {
        try await Self.withSecret { client, key in
            let socket = try await AppSocket(port: client.port)
            let get = "GET /api/v1/me HTTP/1.1\r\nHost: x\r\nX-Api-Key: \(key)\r\n\r\n"
            try await Self.send([get.prefix(30), get.dropFirst(30)], on: socket, client)
            _ = try await socket.read(until: #""role":"admin""#)
            let list = Self.head(key)
            for cut in [0, 3, 40] {
                try await Self.send([list.prefix(cut), list.dropFirst(cut)], on: socket, client)
                let answer = try await socket.read(until: #""keys":["org/"]"#)
                #expect(answer.hasPrefix("HTTP/1.1 200"), "\(answer.prefix(200))")
            }
            let pieces = [
                "PUT /api/v1/secrets/org/two HTTP/1.1\r\nHost: x\r\nX-Api-Key: \(key)\r\n",
                "Transfer-Encoding: chunked\r\n\r\n", "e\r\n{\"data\":{\"a\":\"\r\n", "a\r\n", "LIST /x\"}}",
                "\r\n0\r\n\r\n",
            ]
            try await Self.send(pieces.map { $0[...] }, on: socket, client)
            _ = try await socket.read(until: #""name":"two""#)
            let value = try await client.get("/api/v1/secrets/org/two/value", key: key)
            #expect(value["data"]?["a"] == "LIST /x", "\(value.text)")
        }
    }

    @Test("half a word is refused when nothing more comes")
    func half() async throws {
        try await withApp { client in
            let answer = try await AppSocket.exchange(port: client.port, ["LIS"], closingInput: true)
            #expect(answer.hasPrefix("HTTP/1.1 501"), "\(answer.prefix(200))")
        }
    }
}
