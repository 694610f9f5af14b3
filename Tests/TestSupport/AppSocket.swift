import Foundation
import Kernel

/// A connection that sends bytes as no client library would. Its calls block threads of their own, not those of tests.
public final class AppSocket: Sendable {
    private let file: Int32

    /// Connects to a port of this machine; reads and writes give up after `seconds`.
    public init(port: Int, seconds: Int = 20) async throws {
        file = try await Self.onThread { try Self.connect(port: port, seconds: seconds) }
    }

    deinit { close(file) }

    /// Sends all of it, or as much as the server takes: one that refuses may close before.
    public func send(_ text: String) async throws {
        let file = file
        try await Self.onThread {
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes {
                    Foundation.send(file, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// Closes the client's side, which tells a server that all was sent.
    public func closeInput() { shutdown(file, Int32(SHUT_WR)) }

    /// Reads until the server closes, or until the answer holds `end`.
    public func read(until end: String? = nil) async throws -> String {
        let file = file
        return try await Self.onThread {
            var answer: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while true {
                let text = String(decoding: answer, as: UTF8.self)
                if let end, text.contains(end) { return text }
                let count = recv(file, &buffer, buffer.count, 0)
                guard count > 0 else { return text }
                answer += buffer.prefix(count)
            }
        }
    }

    /// Sends the pieces on a connection of their own, and reads the answer.
    public static func exchange(
        port: Int, _ pieces: [String], until end: String? = nil, closingInput: Bool = false
    ) async throws -> String {
        let socket = try await AppSocket(port: port)
        for piece in pieces { try await socket.send(piece) }
        if closingInput { socket.closeInput() }
        return try await socket.read(until: end)
    }

    private static func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value
    {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
        }
    }

    private static func connect(port: Int, seconds: Int) throws -> Int32 {
        let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &timeout, size)
        setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let outcome = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard outcome == 0 else {
            let reason = String(cString: strerror(errno))
            close(file)
            throw Problem(.internalError, "no connection to port \(port): \(reason)")
        }
        return file
    }
}
