/// Takes known values out of bytes that come in pieces. What may be the beginning of one is held back until it is
/// decided, which is after ``KnownSecrets/pieceMax`` bytes at the latest.
public struct KnownSecretStream: Sendable {
    private var scan: KnownSecretScan
    private var held: [UInt8] = []

    public init(_ known: KnownSecrets) { scan = KnownSecretScan(known) }

    /// How often a value of each path was found.
    public var findings: [String: Int] { scan.findings }
    /// Bytes that wait for what follows.
    public var heldBytes: Int { held.count }

    /// Takes the next piece and gives what is decided.
    public mutating func push(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        held.append(contentsOf: bytes)
        return run(isFinal: false)
    }

    /// Gives what is still held back; the next text begins anew.
    public mutating func finish() -> [UInt8] { run(isFinal: true) }

    private mutating func run(isFinal: Bool) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(held.count)
        let done = held.withUnsafeBufferPointer { scan.run($0, isFinal: isFinal, into: &output) }
        held.removeFirst(done)
        return output
    }
}

/// A walk along a text. Its work for each byte does not depend on how many values are known.
struct KnownSecretScan: Sendable {
    private let known: KnownSecrets
    /// Bytes from here on that belong to what was found.
    private var covered = 0
    private(set) var findings: [String: Int] = [:]

    init(_ known: KnownSecrets) { self.known = known }

    /// Appends what is decided to `output`, and says how many bytes that were.
    mutating func run(_ bytes: UnsafeBufferPointer<UInt8>, isFinal: Bool, into output: inout [UInt8]) -> Int {
        if known.isEmpty {
            output.append(contentsOf: bytes)
            return bytes.count
        }
        var (high, low): (UInt64, UInt64) = (0, 0)
        func byte(_ index: Int) -> UInt64 { index < bytes.count ? UInt64(bytes[index]) : 0 }
        for index in 0..<8 { (high, low) = (high << 8 | byte(index), low << 8 | byte(index + 8)) }
        // Where nothing was found, pieces are copied whole.
        var copied = covered
        var index = 0
        loop: while index < bytes.count {
            guard isFinal || bytes.count - index >= KnownSecrets.windows.long else { break }
            switch known.match(bytes, at: index, high, low, isFinal: isFinal) {
            case .none: break
            case .open: break loop
            case .found(let end, let path):
                findings[path, default: 0] += 1
                if covered == 0 {
                    output.append(contentsOf: bytes[copied..<index])
                    output.append(contentsOf: "[redacted:\(path)]".utf8)
                }
                // Another one may begin within it and end behind it.
                covered = max(covered, end - index)
                copied = index + covered
            }
            high = high << 8 | low >> 56
            low = low << 8 | byte(index + KnownSecrets.windows.long)
            if covered > 0 { covered -= 1 }
            index += 1
        }
        if copied < index { output.append(contentsOf: bytes[copied..<index]) }
        return index
    }
}
