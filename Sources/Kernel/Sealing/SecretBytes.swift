import Foundation

/// Bytes that nobody is to see: they are wiped when the last owner lets go, and no way of printing shows them.
///
/// Copies that Swift makes elsewhere, such as of a text that becomes a reply, are out of its reach; so a value becomes
/// text as late as possible.
public struct SecretBytes: Sendable {
    /// `@unchecked Sendable`: the memory is written in `init`, before anybody else has a reference, and in `deinit`,
    /// after the last one is gone; between the two it is only read.
    private final class Memory: @unchecked Sendable {
        let bytes: UnsafeMutableRawBufferPointer

        init(_ source: UnsafeRawBufferPointer) {
            bytes = .allocate(byteCount: source.count, alignment: 16)
            if !source.isEmpty { bytes.copyMemory(from: source) }
        }

        deinit {
            wipe(bytes)
            bytes.deallocate()
        }
    }

    private let memory: Memory

    /// Takes a copy.
    public init(copying source: UnsafeRawBufferPointer) { memory = Memory(source) }

    /// Takes the bytes over: they are wiped where they came from, as far as nobody else holds them.
    public init(taking source: inout [UInt8]) {
        memory = source.withUnsafeBytes(Memory.init)
        source.withUnsafeMutableBytes(wipe)
        source = []
    }

    /// Takes the bytes over: they are wiped where they came from, as far as nobody else holds them.
    public init(taking source: inout Data) {
        memory = source.withUnsafeBytes(Memory.init)
        source.withUnsafeMutableBytes(wipe)
        source = Data()
    }

    /// A copy of a text, whose own memory stays as it is.
    public init(_ text: String) {
        var bytes = Array(text.utf8)
        self.init(taking: &bytes)
    }

    public var count: Int { memory.bytes.count }

    /// Lends the bytes; they are not to be kept.
    public func withBytes<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        defer { withExtendedLifetime(memory) {} }
        return try body(UnsafeRawBufferPointer(memory.bytes))
    }

    /// A copy that is no longer guarded, for whoever may have it; `nil` where it is no UTF-8.
    public var text: String? { withBytes { String(validating: $0, as: UTF8.self) } }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "[secret]" }
    public var debugDescription: String { "[secret]" }
    public var customMirror: Mirror { Mirror(self, children: [Mirror.Child]()) }
}

/// Overwrites memory in a way that the optimizer does not leave out, as it does with what is not read again.
private func wipe(_ bytes: UnsafeMutableRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    #if os(Linux)
        explicit_bzero(base, bytes.count)
    #else
        memset_s(base, bytes.count, 0, bytes.count)
    #endif
}
