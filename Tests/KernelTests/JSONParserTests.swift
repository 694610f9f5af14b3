import TestSupport
import Testing

@testable import Kernel

/// Which texts are JSON, what they mean, and that hostile ones are refused without harm.
struct JSONParserTests {
    @Test(
        arguments: [
            ("null", .null), (" true ", .bool(true)), ("\t\r\nfalse\n", .bool(false)), ("0", 0), ("-0", 0),
            ("-17", -17),
            ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
            ("9223372036854775808", .double(9_223_372_036_854_775_808)),
            ("123456789012345678901234567890", .double(1.2345678901234568e29)),
            ("1.0", .double(1)), ("0.1", .double(0.1)), ("-1.5e-3", .double(-0.0015)), ("1E2", .double(100)),
            ("1e+2", .double(100)), ("0e0", .double(0)), ("1e-400", .double(0)),
            ("2.2250738585072014e-308", .double(.leastNormalMagnitude)),
            (#""""#, ""), (#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{C}\n\r\tz"), (#""\u0041\u00e9\u20AC""#, "Aé€"),
            (#""\ud83e\udd89 🦉""#, "🦉 🦉"), (#""\uDBFF\uDFFF""#, "\u{10FFFF}"),
            ("\"\u{7F}\u{80}\u{2028}\"", "\u{7F}\u{80}\u{2028}"),
            ("[]", []), ("[ ]", []), ("[1,[2,[]],{}]", [1, [2, []], [:]]), ("{}", [:]), ("{ }", [:]),
            (#"{"a":1,"b":{"a":null}}"#, ["a": 1, "b": ["a": .null]]), (#"{"":[""]}"#, ["": [""]]),
            (#" { "a" : [ 1 , 2 ] , "A" : 0 } "#, ["a": [1, 2], "A": 0]),
        ] as [(String, JSONValue)])
    func reads(_ text: String, _ value: JSONValue) throws {
        #expect(try JSONParser.parse(text) == value)
        #expect(try JSONParser.parse(Array(text.utf8)) == value)
        // Bytes that do not stand side by side in memory.
        #expect(try JSONParser.parse(text.utf8.lazy.map { $0 }.reversed().reversed()) == value)
    }

    @Test(
        arguments: [
            ("", "ends where a value"), ("  ", "ends where a value"), ("nul", "not a JSON value"),
            ("nulL", "not a JSON value"),
            ("True", "not a JSON value"), ("NaN", "not a JSON value"), ("-Infinity", "digit"),
            ("'a'", "not a JSON value"),
            ("\u{FEFF}{}", "not a JSON value"), ("undefined", "not a JSON value"), ("+1", "not a JSON value"),
            ("01", "leading zero"), ("-01", "leading zero"), ("00", "leading zero"), ("1.", "digit"),
            (".5", "not a JSON value"),
            ("1.e1", "digit"), ("1e", "digit"), ("1e+", "digit"), ("-", "digit"), ("0x10", "after the end"),
            ("1e400", "out of range"),
            ("-1e400", "out of range"), ("1 2", "after the end"), ("{}x", "after the end"),
            ("null\u{0}", "after the end"),
            ("[", "ends where a value"), ("[1", "',' or ']'"), ("[1,", "ends where a value"),
            ("[1,]", "not a JSON value"),
            ("[,1]", "not a JSON value"), ("[1 2]", "',' or ']'"), ("]", "not a JSON value"), ("{", "name in quotes"),
            ("{a:1}", "name in quotes"), ("{1:1}", "name in quotes"), (#"{"a"}"#, "':'"),
            (#"{"a":}"#, "not a JSON value"),
            (#"{"a":1,}"#, "name in quotes"), (#"{"a":1 "b":2}"#, "',' or '}'"), (#"{"a":1"#, "',' or '}'"),
            (#"{"a":1,"a":2}"#, "stands twice"), (#"{"a":1,"\u0061":2}"#, "stands twice"),
            (#"{"x":{"b":1,"b":1}}"#, "stands twice"),
            (#"{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"a":0}"#, "stands twice"),
            (#"{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"j":0}"#, "stands twice"),
            ("\"", "without an end"), (#""a"#, "without an end"), (#""\"#, "without an end"),
            (#""\x""#, "unknown escape"),
            (#""\u12" ""#, "hexadecimal"), (#""\u12"#, "without an end"), (#""\u00g0""#, "hexadecimal"),
            (#""\u0000""#, "NUL"),
            ("\"a\u{0}b\"", "control character"), ("\"a\nb\"", "control character"),
            ("\"\\n\u{1F}\"", "control character"),
            (#""\ud800""#, "surrogate"), (#""\udc00""#, "surrogate"), (#""\ud800\u0041""#, "surrogate"),
            (#""\ud800x""#, "surrogate"),
            (#""\udc00\ud800""#, "surrogate"), (#""\ud800\n""#, "surrogate"), ("// no\n1", "not a JSON value"),
        ])
    func refuses(_ text: String, _ reason: String) {
        let failure = #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(text) }
        #expect(failure?.reason.contains(reason) == true, "\(String(describing: failure))")
        #expect((0...text.utf8.count).contains(failure?.offset ?? -1))
    }

    @Test(
        arguments: [
            [0xFF], [0xC0, 0xAF], [0xC3], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x80],
            [0xF8, 0x88, 0x80, 0x80, 0x80], [0x61, 0xC3, 0x28],
        ] as [[UInt8]])
    func refusesTextThatIsNotUTF8(_ bytes: [UInt8]) {
        for text in [
            [0x22] + bytes + [0x22], [0x22, 0x5C, 0x6E] + bytes + [0x22],
            [0x7B, 0x22] + bytes + [0x22, 0x3A, 0x31, 0x7D],
        ] {
            let failure = #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(text) }
            #expect(failure?.reason == "invalid UTF-8")
        }
        #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(bytes) }
    }

    @Test(arguments: [("[", "]"), (#"{"a":"#, "}"), (#"[{"a":"#, "}]")])
    func limitsTheDepth(_ open: String, _ close: String) throws {
        let levels = open.count { $0 == "[" || $0 == "{" }
        let text = { (count: Int) in
            String(repeating: open, count: count) + "0" + String(repeating: close, count: count)
        }
        #expect(throws: Never.self) { try JSONParser.parse(text(64 / levels)) }
        let failure = #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(text(64 / levels + 1)) }
        #expect(failure?.reason == "nested deeper than 64")
        #expect(throws: Never.self) { try JSONParser.parse(text(512 / levels), depthMax: Limits.jsonDepthStored) }
        #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(text(100_000)) }
    }

    @Test func deepestStoredDocumentIsWrittenAndReadAgain() throws {
        var value: JSONValue = 0
        for _ in 0..<Limits.jsonDepthStored { value = [value] }
        #expect(try JSONParser.parse(value.text, depthMax: Limits.jsonDepthStored) == value)
        #expect(try JSONParser.parse(value.prettyText, depthMax: Limits.jsonDepthStored) == value)
    }

    @Test func anObjectWithManyMembersIsReadInTime() throws {
        let text = "{" + (0..<50_000).map { "\"member \($0)\":\($0)" }.joined(separator: ",") + "}"
        let object = try #require(try JSONParser.parse(text).object)
        #expect(object.count == 50_000)
        #expect(object["member 49999"] == 49_999)
    }

    @Test func keepsTheOrderOfMembers() throws {
        let text = #"{"z":1,"a":2,"m":{"2":0,"1":0}}"#
        #expect(try JSONParser.parse(text).text == text)
    }

    @Test func everyPrefixOfADocumentIsRefusedWithoutHarm() throws {
        let document = Array(#"{"a":[1,-2.5e3,"\u00e9\ud83e\udd89\n",true,false,null,{"b":{}}]}"#.utf8)
        #expect(throws: Never.self) { try JSONParser.parse(document) }
        for count in 0..<document.count {
            #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(document[..<count]) }
        }
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func changedBytesNeverDoHarm(_ seed: UInt64) {
        let entropy = SeededEntropy(seed: seed)
        for _ in 0..<100 {
            var bytes = RandomJSON(entropy: entropy).value(depth: 4).bytes
            for _ in 0...entropy.int(in: 0...3) {
                bytes[entropy.int(in: 0...bytes.count - 1)] = UInt8(entropy.int(in: 0...255))
            }
            // Accepted or refused; what is accepted can be written and read again.
            if let value = try? JSONParser.parse(bytes) { #expect((try? JSONParser.parse(value.bytes)) == value) }
        }
    }
}

/// Documents drawn by chance.
struct RandomJSON {
    let entropy: SeededEntropy

    func value(depth: Int) -> JSONValue {
        switch entropy.int(in: 0...(depth > 0 ? 8 : 5)) {
        case 0: .null
        case 1: .bool(entropy.next() & 1 == 0)
        case 2: .int(Int64(bitPattern: entropy.next()) >> Int64(entropy.int(in: 0...63)))
        case 3: .double(double())
        case 4, 5: .string(string())
        case 6, 7: .array((0..<entropy.int(in: 0...4)).map { _ in value(depth: depth - 1) })
        default: .object(object(depth: depth))
        }
    }

    private func object(depth: Int) -> JSONObject {
        var object = JSONObject()
        for _ in 0..<entropy.int(in: 0...12) { object[string()] = value(depth: depth - 1) }
        return object
    }

    private func double() -> Double {
        let value = Double(bitPattern: entropy.next())
        return value.isFinite ? value : 0.5
    }

    private func string() -> String {
        var text = ""
        for _ in 0..<entropy.int(in: 0...8) {
            let range = entropy.pick([
                0x01...0x1F, 0x20...0x7E, 0x80...0x7FF, 0x800...0xD7FF, 0xE000...0xFFFF, 0x10000...0x10FFFF,
            ])
            if let scalar = Unicode.Scalar(UInt32(entropy.int(in: range))) { text.unicodeScalars.append(scalar) }
        }
        return text
    }
}
