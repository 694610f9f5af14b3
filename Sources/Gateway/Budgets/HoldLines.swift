import Kernel

/// A window's name in the journal: a number in lines, whose text stands once in each file.
struct WindowName: Sendable, Hashable {
    let number: Int
    let text: String
}

/// What a call holds from now on, all of it.
struct HoldLine: Sendable {
    let serial: Int64
    let amounts: BudgetAmounts
    let windows: [WindowName]
    let call: String
    let note: String
}

/// What a call cost, and the report that will tell the vault.
struct SettleLine: Sendable {
    let serial: Int64
    let sequence: Int64
    let amounts: BudgetAmounts
    let windows: [WindowName]
    let call: String
    let note: String
}

/// The text of the journal: a line each, a checksum before it, fields apart by one space, the note last.
///
///     R <replica> <incarnation> <boot>
///     W <number> <window>
///     H <serial> <nanoUSD> <tokens> <calls> <steps> <windows, by commas> <call> <note>
///     S <serial> <sequence> <nanoUSD> <tokens> <calls> <steps> <windows, by commas> <call> <note>
enum HoldLines {
    static let checksumBytes = 8

    /// Puts a line together in a buffer that is used again.
    static func append(_ line: HoldLine, to bytes: inout [UInt8]) {
        let start = begin("H", &bytes)
        field(line.serial, &bytes)
        rest(line.amounts, line.windows, line.call, line.note, &bytes)
        end(start, &bytes)
    }

    static func append(_ line: SettleLine, to bytes: inout [UInt8]) {
        let start = begin("S", &bytes)
        field(line.serial, &bytes)
        field(line.sequence, &bytes)
        rest(line.amounts, line.windows, line.call, line.note, &bytes)
        end(start, &bytes)
    }

    static func append(_ window: WindowName, to bytes: inout [UInt8]) {
        let start = begin("W", &bytes)
        field(Int64(window.number), &bytes)
        field(window.text, max: 200, &bytes)
        end(start, &bytes)
    }

    static func append(replica: BudgetReplica, boot: String, to bytes: inout [UInt8]) {
        let start = begin("R", &bytes)
        field(replica.id, max: 200, &bytes)
        field(replica.incarnation, &bytes)
        field(boot, max: 200, &bytes)
        end(start, &bytes)
    }

    private static func rest(
        _ amounts: BudgetAmounts, _ windows: [WindowName], _ call: String, _ note: String, _ bytes: inout [UInt8]
    ) {
        field(amounts.nanoUSD, &bytes)
        field(amounts.tokens, &bytes)
        field(amounts.calls, &bytes)
        field(amounts.steps, &bytes)
        bytes.append(UInt8(ascii: " "))
        for (index, window) in windows.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            append(Int64(window.number), &bytes)
        }
        if windows.isEmpty { bytes.append(UInt8(ascii: "-")) }
        field(call, max: HoldJournal.callBytesMax, &bytes)
        bytes.append(UInt8(ascii: " "))
        let start = bytes.count
        bytes.append(contentsOf: note.utf8)
        if bytes.count - start > HoldJournal.noteBytesMax {
            bytes.removeLast(bytes.count - start - HoldJournal.noteBytesMax)
        }
        // A note in JSON has no line breaks of its own.
        for index in start..<bytes.count where bytes[index] == UInt8(ascii: "\n") { bytes[index] = UInt8(ascii: " ") }
    }

    private static func begin(_ kind: Unicode.Scalar, _ bytes: inout [UInt8]) -> Int {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: checksumBytes))
        bytes.append(UInt8(ascii: " "))
        bytes.append(UInt8(ascii: kind))
        return start
    }

    private static func end(_ start: Int, _ bytes: inout [UInt8]) {
        var sum = checksum(bytes[(start + checksumBytes)...])
        for index in (0..<checksumBytes).reversed() {
            let digit = UInt8(truncatingIfNeeded: sum & 15)
            bytes[start + index] = digit < 10 ? 48 + digit : 87 + digit
            sum >>= 4
        }
        bytes.append(UInt8(ascii: "\n"))
    }

    private static func field(_ value: Int64, _ bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: " "))
        append(value, &bytes)
    }

    /// A word: what could end one becomes `_`, and an empty one is a dash.
    private static func field(_ text: String, max: Int, _ bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: " "))
        if text.isEmpty { bytes.append(UInt8(ascii: "-")) }
        for byte in text.utf8.prefix(max) { bytes.append(byte > 32 && byte < 127 ? byte : UInt8(ascii: "_")) }
    }

    /// Digits, without making a text first: this is done for every call.
    private static func append(_ value: Int64, _ bytes: inout [UInt8]) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        var rest = value.magnitude
        let start = bytes.count
        repeat {
            bytes.append(48 + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    /// FNV-1a, 32 bits (draft-eastlake-fnv §2): against torn and overwritten lines, not against people.
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var hash: UInt32 = 2_166_136_261
        for byte in bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return hash
    }
}
