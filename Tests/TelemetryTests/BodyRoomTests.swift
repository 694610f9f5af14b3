import Foundation
import Kernel
import Testing

@testable import Telemetry

@Suite("Room for the bodies of requests")
struct BodyRoomTests {
    private static let principal = Principal(keyID: "k", name: "n", role: .admin)

    private static func send(
        _ body: [UInt8], to path: String, of routes: [Route], type: String, coding: String? = nil
    ) async throws -> APIReply {
        let route = try #require(routes.first { $0.method == .post && $0.path == path })
        var headers: RequestHeaders = ["content-type": type]
        if let coding { headers = ["content-type": type, "content-encoding": coding] }
        return try await route.handler(
            APIRequest(
                method: .post, route: path, path: path, headers: headers, body: body, principal: principal))
    }

    private static func retryAfter(_ reply: APIReply) -> String? {
        reply.headers.first { $0.name == "retry-after" }?.value
    }

    private static func bytes(_ reply: APIReply) -> [UInt8] {
        if case .bytes(let bytes) = reply.body { bytes } else { [] }
    }

    @Test("what is taken is bounded over all requests, and given back once each is done with")
    func bounded() {
        let room = BodyRoom(bytesMax: 100)
        let (first, second) = (room.lease(), room.lease())
        #expect(first.take(60))
        #expect(!second.take(41))
        #expect(second.take(40))
        #expect(!first.take(1))
        second.end()
        second.end()
        #expect(room.bytes == 60)
        #expect(first.take(40))
        #expect(throws: TelemetryIngest.Fault.crowded) { try second.takeDocument(of: [1]) }
        first.end()
        #expect(room.bytes == 0)
        _ = room.lease().take(100)
        #expect(room.bytes == 0, "a lease that nobody ended is ended with its last holder")
    }

    @Test("a body that finds no room is refused in the words of its protocol, and taken once there is some")
    func doors() async throws {
        let span = SpanSamples.span("00f067aa0ba902b7", String(repeating: "x", count: 150))
        let trace = try OTLPJSON.traces(SpanSamples.request([span])) { _ in }
        let size = trace.count
        try await withTelemetryFolder { folder in
            let room = BodyRoom(bytesMax: size + 2_000)
            let ingest = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live, room: room)
            let traces = TraceRoutes(ingest: ingest, world: .live).routes
            let other = room.lease()
            #expect(other.take(2_001))
            let refused = try await Self.send(trace, to: "/v1/traces", of: traces, type: "application/x-protobuf")
            #expect(refused.status == 503)
            #expect(Self.retryAfter(refused) == "1")
            // google.rpc.Status: UNAVAILABLE.
            #expect(Self.bytes(refused).starts(with: [0x08, 14]))
            #expect(ingest.ledgers[.traces].refusedRequests == 1)
            let json = SpanSamples.request([span]).bytes
            let refusedJSON = try await Self.send(json, to: "/v1/traces", of: traces, type: "application/json")
            #expect(refusedJSON.status == 503)
            #expect(try JSONParser.parse(Self.bytes(refusedJSON))["code"] == .int(14))
            other.end()
            let taken = try await Self.send(trace, to: "/v1/traces", of: traces, type: "application/x-protobuf")
            #expect(taken.status == 200)
            #expect(room.bytes == 0)
            #expect(ingest.ledgers[.traces].received == 1)
            try await ingest.close()
        }
    }

    /// Zeros as gzip, many more than their bytes.
    private static func bomb() throws -> [UInt8] {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sh", "-c", "head -c 1000000 /dev/zero | gzip -c"]
        process.standardOutput = output
        try process.run()
        let packed = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return Array(packed)
    }

    @Test("a body is refused while it is unpacked, by each door, and leaves nothing behind")
    func whileUnpacked() async throws {
        let bomb = try Self.bomb()
        try await withTelemetryFolder { folder in
            let room = BodyRoom(bytesMax: 200_000)
            let ingest = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live, room: room)
            let routes =
                TraceRoutes(ingest: ingest, world: .live).routes + LogRoutes(ingest: ingest, world: .live).routes
                + LokiRoutes(ingest: ingest, world: .live).routes
            for path in ["/v1/traces", "/v1/logs"] {
                let reply = try await Self.send(
                    bomb, to: path, of: routes, type: "application/x-protobuf", coding: "gzip")
                #expect(reply.status == 503)
            }
            for path in ["/api/v1/logs", "/loki/api/v1/push"] {
                let problem = await #expect(throws: Problem.self) {
                    try await Self.send(bomb, to: path, of: routes, type: "application/json", coding: "gzip")
                }
                #expect(problem?.code == .overloaded)
                #expect(problem?.retryAfterSeconds == BodyRoom.retryAfterSeconds)
            }
            let blocks = await #expect(throws: Problem.self) {
                try await Self.send(
                    Snappy.pack([UInt8](repeating: 0, count: 1_000_000)), to: "/loki/api/v1/push", of: routes,
                    type: "application/x-protobuf")
            }
            #expect(blocks?.code == .overloaded)
            #expect(room.bytes == 0)
            #expect(ingest.ledgers[.logs].refusedRequests == 4)
            #expect(ingest.ledgers[.traces].refusedRequests == 1)
            try await ingest.close()
        }
    }
}
