import Kernel
import Testing

@testable import Gateway

/// Documents drawn by seed, for tests that compare two ways to the same answer.
struct SeededChoice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

/// The scan against the Kernel's parser, on valid documents and on broken ones.
@Suite struct TopLevelScanDifferentialTests {
    static let wanted = TopLevelScanTests.wanted

    @Test(arguments: [1, 2, 3, 4])
    func validDocumentsHaveTheSameValues(seed: UInt64) throws {
        var choice = SeededChoice(seed: seed)
        for _ in 0..<500 {
            let text = Self.document(&choice)
            let parsed = try JSONParser.parse(text, depthMax: 128)
            #expect(try Self.agrees(parsed, Array(text.utf8)), "\(text)")
        }
    }

    @Test(arguments: [5, 6, 7, 8])
    func whatTheParserTakesOfBrokenDocumentsTheScanFinds(seed: UInt64) throws {
        var choice = SeededChoice(seed: seed)
        var accepted = 0
        for _ in 0..<1_500 {
            var bytes = Array(Self.document(&choice).utf8)
            for _ in 0...choice.below(3) { Self.mutate(&bytes, &choice) }
            let parsed = try? JSONParser.parse(bytes, depthMax: 128)
            if let parsed, parsed.object != nil {
                accepted += 1
                #expect(try Self.agrees(parsed, bytes), "\(String(decoding: bytes, as: UTF8.self))")
            } else if let scan = try? TopLevelScan.scan(bytes, for: Self.wanted) {
                // Accepted by the scan alone: ranges still lie within the body.
                #expect(scan.ranges.allSatisfy { $0.map { $0.upperBound < bytes.count && !$0.isEmpty } ?? true })
            }
        }
        #expect(accepted > 50)
    }

    /// Whether the scan finds for each wanted member what the parser read, and refuses what readers may mix up.
    private static func agrees(_ parsed: JSONValue, _ bytes: [UInt8]) throws -> Bool {
        let names = parsed.object?.names ?? []
        let isMixed = wanted.names.contains { name in
            names.contains(name)
                && names.contains { $0 != name && $0.utf8.count == name.utf8.count && $0.lowercased() == name }
        }
        let scan: TopLevelScan
        do { scan = try TopLevelScan.scan(bytes, for: wanted) } catch {
            if case .duplicate = error { return isMixed }
            return false
        }
        return !isMixed && wanted.names.allSatisfy { scan.value(of: $0, in: wanted, bytes) == parsed[$0] }
    }

    private static let names = [
        "model", "stream", "stream_options", "max_tokens", "n", "user", "metadata", "Model", "messages", "mode",
        "models",
        "", "é", "a b", "temperature",
    ]

    private static func document(_ choice: inout SeededChoice) -> String {
        var unused = names
        var members: [String] = []
        for _ in 0..<choice.below(8) {
            let name = unused.remove(at: choice.below(unused.count))
            members.append(space(&choice) + spelled(name, &choice) + space(&choice) + ":" + value(&choice, depth: 0))
        }
        return space(&choice) + "{" + members.joined(separator: ",") + space(&choice) + "}" + space(&choice)
    }

    private static func space(_ choice: inout SeededChoice) -> String { choice.pick(["", "", "", " ", "\n", "\t \r"]) }

    private static func spelled(_ text: String, _ choice: inout SeededChoice) -> String {
        var spelled = "\""
        for scalar in text.unicodeScalars {
            if choice.below(6) == 0, scalar.value < 0x10000 {
                let digits = String(scalar.value, radix: 16, uppercase: choice.below(2) == 0)
                spelled += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else {
                spelled.unicodeScalars.append(scalar)
            }
        }
        return spelled + "\""
    }

    private static func value(_ choice: inout SeededChoice, depth: Int) -> String {
        let body: String
        switch choice.below(depth < 5 ? 10 : 6) {
        case 0: body = choice.pick(["true", "false", "null"])
        case 1: body = choice.pick(["0", "-1", "12.5", "1e3", "-0.5E-2", "9007199254740993"])
        case 2: body = spelled(choice.pick(["hello", "model", "日本", "x"]), &choice)
        case 3: body = choice.pick([#""\\""#, #""\"""#, #""a\\\"b""#, #""{\"model\":1}""#, #""\n\/""#, "\"\""])
        case 4:
            body =
                "\"" + String(repeating: choice.pick(["abc ", "\\\\", "\\\"", "]}"]), count: choice.below(60)) + "\""
        case 5: body = choice.pick(["[]", "{}", "[ ]", "{ }"])
        case 6, 7:
            let items = (0..<choice.below(4)).map { _ in value(&choice, depth: depth + 1) }
            body = "[" + items.joined(separator: ",") + "]"
        default:
            var unused = names
            let members = (0..<choice.below(4)).map { _ in
                spelled(unused.remove(at: choice.below(unused.count)), &choice) + ":" + value(&choice, depth: depth + 1)
            }
            body = "{" + members.joined(separator: ",") + "}"
        }
        return space(&choice) + body + space(&choice)
    }

    private static func mutate(_ bytes: inout [UInt8], _ choice: inout SeededChoice) {
        let place = choice.below(bytes.count)
        let byte = choice.pick(Array("\"\\{}[]:,0 eun\u{7F}x".utf8) + [0, 0xC3, 0xFF])
        switch choice.below(4) {
        case 0: bytes.insert(byte, at: place)
        case 1: bytes[place] = byte
        case 2: if bytes.count > 1 { bytes.remove(at: place) }
        default:
            let end = min(bytes.count, place + choice.below(12))
            bytes.insert(contentsOf: Array(bytes[place..<end]), at: choice.below(bytes.count))
        }
    }
}
