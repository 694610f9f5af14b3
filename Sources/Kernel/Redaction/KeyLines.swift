/// Takes private keys out of records that have a line of one each, as programs print them.
public struct KeyLines: Sendable {
    /// Lines of a key at most; the longest in use have a quarter of it.
    static let linesMax = 500
    /// Characters of a line; RFC 7468 §2 has 64, others write 76.
    static let lineMax = 128
    /// Lines of others between those of a key: its head, or what another program printed meanwhile.
    static let othersMax = 8
    /// What a find is called.
    public static let name = KeyPatterns.keyName
    private static let mark = "[redacted:\(name)]"

    private var linesLeft = 0
    private var othersLeft = 0
    private var isProven = false
    /// Keys that were found.
    public private(set) var count = 0

    public init() {}

    /// What is to stand for the next line; `nil` where it may stay as it is.
    public mutating func take(_ line: some Collection<UInt8>) -> String? {
        var line = Array(line.prefix(Self.lineMax + 1))
        while let last = line.last, last == 0x20 || last == 0x0A || last == 0x0D { line.removeLast() }
        if let dash = line.firstIndex(of: UInt8(ascii: "-")), line.suffix(5).elementsEqual("-----".utf8) {
            let isBegin = line[dash...].withUnsafeBufferPointer { bytes in
                KeyBody.lineEnd(Redactor.View(bytes: bytes, isFinal: true), at: 0) == bytes.count
            }
            linesLeft = isBegin ? Self.linesMax : 0
            othersLeft = Self.othersMax
            isProven = false
            return nil
        }
        guard linesLeft > 0 else { return nil }
        let text = line.drop { $0 == 0x20 || $0 == 0x09 }
        let isBody =
            !text.isEmpty && text.count <= Self.lineMax
            && text.allSatisfy { ByteSet.base64.contains($0) || $0 == UInt8(ascii: "=") }
            && (isProven || text.count >= KeyBody.stretch)
        guard isBody else {
            othersLeft -= 1
            if othersLeft < 0 { linesLeft = 0 }
            return nil
        }
        if !isProven { count += 1 }
        isProven = true
        linesLeft -= 1
        return Self.mark
    }
}
