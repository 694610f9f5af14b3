import Kernel

/// The log records of a body of JSON: one object, an array of them, or one behind the other with or without lines, as
/// Fluent Bit's `json`, `json_lines` and `json_stream` send them.
struct LogLines {
    /// One record that is not taken.
    struct Refusal: Sendable, Equatable {
        /// Its place among the records of the body, from 0.
        let index: Int
        let flaw: RecordFlaw
    }

    private(set) var rows = LogRows()
    private(set) var refusals: [Refusal] = []
    private(set) var refused: [RecordFlaw: Int] = [:]

    private let origin: LogOrigin
    private let depthMax: Int
    private var index = 0

    /// - Throws: ``ProtobufReader/Malformed`` where nothing of the body is JSON.
    init(_ body: [UInt8], origin: LogOrigin, depthMax: Int) throws {
        self.origin = origin
        self.depthMax = depthMax
        if let document = try? JSONParser.parse(body, depthMax: depthMax) {
            switch document {
            case .array(let documents): for document in documents { take(document) }
            case .object: take(document)
            default: throw ProtobufReader.Malformed()
            }
            return
        }
        var isAnyJSON = false
        for piece in JSONPieces(body) {
            if let document = try? JSONParser.parse(body[piece], depthMax: depthMax) {
                isAnyJSON = true
                take(document)
            } else {
                refuse(.malformed)
            }
        }
        guard isAnyJSON else { throw ProtobufReader.Malformed() }
    }

    private mutating func take(_ document: JSONValue) {
        guard index < TelemetryLimits.logsPerRequest else { return refuse(.tooMany) }
        do throws(RecordFlaw) {
            let record = try LogReader.read(document, from: origin)
            let row = LogRow.encode(record)
            guard row.count <= TelemetryLimits.logBytes else { throw .tooLarge }
            rows.append(row)
            index += 1
        } catch { refuse(error) }
    }

    private mutating func refuse(_ flaw: RecordFlaw) {
        if refusals.count < Self.refusalsMax { refusals.append(Refusal(index: index, flaw: flaw)) }
        refused[flaw, default: 0] += 1
        index += 1
    }

    /// Refusals that are told one by one.
    static let refusalsMax = 100
}

/// What a door knows of the records that come through it.
struct LogOrigin: Sendable {
    /// Nanoseconds since 1970, for a record without a time.
    let arrival: Int64
    /// For a record without one.
    var correlationID: String?
    /// Whose key it is; overrules what a record says.
    var agent: String?
}

/// Where the documents of a body lie that stand one behind the other.
struct JSONPieces: Sequence, IteratorProtocol {
    private let bytes: [UInt8]
    private var position = 0
    /// Whether a document was found without an end: looked for again and again, that would take time in square.
    private var isByLine = false

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() -> Range<Int>? {
        while position < bytes.count, Self.isSpace(bytes[position]) { position += 1 }
        guard position < bytes.count else { return nil }
        let start = position
        let end = document(from: start) ?? line(from: start)
        position = end
        return start..<end
    }

    /// Behind the bracket that closes the first one; `nil` where none does in the same line or a later one.
    private mutating func document(from start: Int) -> Int? {
        guard !isByLine, bytes[start] == UInt8(ascii: "{") else { return nil }
        var (depth, isText, index) = (0, false, start)
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\\") where isText: index += 1
            // No text of JSON goes over a line's end: what is broken costs its own line.
            case 0x0A where isText: return nil
            case UInt8(ascii: "\""): isText.toggle()
            case UInt8(ascii: "{") where !isText, UInt8(ascii: "[") where !isText: depth += 1
            case UInt8(ascii: "}") where !isText, UInt8(ascii: "]") where !isText:
                depth -= 1
                if depth == 0 { return index + 1 }
            default: break
            }
            index += 1
        }
        isByLine = true
        return nil
    }

    private func line(from start: Int) -> Int {
        bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}
