import Kernel
import Testing

@testable import Gateway

/// Where members stand in raw bytes, and what is refused.
@Suite struct TopLevelScanTests {
    static let wanted = TopLevelScan.Wanted([
        "model", "stream", "stream_options", "max_tokens", "n", "user", "metadata",
    ])

    /// The text of each wanted member that was found.
    static func found(_ text: String) throws -> [String: String] {
        let bytes = Array(text.utf8)
        let scan = try TopLevelScan.scan(bytes, for: wanted)
        var found: [String: String] = [:]
        for (name, range) in zip(wanted.names, scan.ranges) {
            if let range { found[name] = String(decoding: bytes[range], as: UTF8.self) }
        }
        return found
    }

    @Test(
        arguments: [
            ("{}", [:]), (" \n{ } \t", [:]), (#"{"model":"m"}"#, ["model": #""m""#]),
            (
                #" { "model" : "m" , "stream" : true , "n":-1.5e+3}"#,
                ["model": #""m""#, "stream": "true", "n": "-1.5e+3"]
            ),
            (#"{"a":{"model":"no"},"b":["model",{"model":1}],"model":"yes"}"#, ["model": #""yes""#]),
            (#"{"mod\u0065l":"m","\u006D\u0061x_tokens":5}"#, ["model": #""m""#, "max_tokens": "5"]),
            (#"{"x":"\"model\":\"no\"","model":"a\\"}"#, ["model": #""a\\""#]),
            (#"{"x":"}]{[\\\"","model":null}"#, ["model": "null"]),
            (
                #"{"stream_options":{"include_usage":true},"metadata":{"a":[{}]}}"#,
                ["stream_options": #"{"include_usage":true}"#, "metadata": #"{"a":[{}]}"#]
            ),
            (#"{"modelx":1,"mode":2,"":3,"model\u0000":4,"\u006dodel\u00e9":5,"\/":6}"#, [:]),
            (#"{"Model":"M"}"#, [:]), (#"{"mødel":1,"日本":"model"}"#, [:]),
            // What other members do is not our business.
            (#"{"a":1,"a":2,"model":"m"}"#, ["model": #""m""#]),
        ] as [(String, [String: String])])
    func members(text: String, expected: [String: String]) throws {
        #expect(try Self.found(text) == expected)
    }

    @Test(
        arguments: [
            ("", .notAnObject), ("  ", .notAnObject), ("[]", .notAnObject), ("null", .notAnObject),
            ("\u{FEFF}{}", .notAnObject), (#""model""#, .notAnObject),
            ("{", .invalid(.unterminated, offset: 1)), (#"{"model""#, .invalid(.colonExpected, offset: 8)),
            (#"{"model":"#, .invalid(.unterminated, offset: 9)),
            (#"{"model":"m"#, .invalid(.unterminatedString, offset: 11)),
            (#"{"model":"m\""#, .invalid(.unterminatedString, offset: 13)),
            (#"{"model":"m""#, .invalid(.unterminated, offset: 12)),
            (#"{"model":"m",}"#, .invalid(.nameExpected, offset: 13)), (#"{,}"#, .invalid(.nameExpected, offset: 1)),
            (#"{"model" "m"}"#, .invalid(.colonExpected, offset: 9)),
            (#"{"a":1 "b":2}"#, .invalid(.commaExpected, offset: 7)),
            ("{model:1}", .invalid(.nameExpected, offset: 1)), ("{'a':1}", .invalid(.nameExpected, offset: 1)),
            (#"{"a":01}"#, .invalid(.notANumber, offset: 7)), (#"{"a":-}"#, .invalid(.notANumber, offset: 6)),
            (#"{"a":1.}"#, .invalid(.notANumber, offset: 7)), (#"{"a":1e}"#, .invalid(.notANumber, offset: 7)),
            (#"{"a":tru}"#, .invalid(.notAValue, offset: 5)), (#"{"a":NaN}"#, .invalid(.notAValue, offset: 5)),
            (#"{"a":.5}"#, .invalid(.notAValue, offset: 5)), (#"{"a":1}x"#, .invalid(.textAfterEnd, offset: 7)),
            (#"{"a":1}{}"#, .invalid(.textAfterEnd, offset: 7)), (#"{"a":[}"#, .invalid(.mismatched, offset: 6)),
            (#"{"a":{]}"#, .invalid(.mismatched, offset: 6)), (#"{"a":[1"#, .invalid(.unterminated, offset: 7)),
            (#"{"a":[1/*"*/]}"#, .invalid(.strayByte, offset: 7)), (#"{"a":['"']}"#, .invalid(.strayByte, offset: 6)),
            (#"{"a":[é]}"#, .invalid(.strayByte, offset: 6)), (#"{"mo\xdel":1}"#, .invalid(.badEscape, offset: 1)),
            (#"{"\u00g0":1}"#, .invalid(.badEscape, offset: 1)), (#"{"mode\u006":1}"#, .invalid(.badEscape, offset: 1)),
            (#"{"model":1,"model":2}"#, .duplicate(name: "model", offset: 11)),
            (#"{"model":1,"mod\u0065l":2}"#, .duplicate(name: "model", offset: 11)),
            (#"{"mod\u0065l":1,"\u006dodel":2}"#, .duplicate(name: "model", offset: 16)),
            (#"{"model":1,"Model":2}"#, .duplicate(name: "model", offset: 11)),
            (#"{"MODEL":1,"model":2}"#, .duplicate(name: "model", offset: 11)),
            (#"{"n":1,"N":2}"#, .duplicate(name: "n", offset: 7)),
            (#"{"user":1,"user":1}"#, .duplicate(name: "user", offset: 10)),
        ] as [(String, TopLevelScan.Failure)])
    func refusals(text: String, failure: TopLevelScan.Failure) {
        #expect(throws: failure) { try TopLevelScan.scan(Array(text.utf8), for: Self.wanted) }
    }

    @Test func nestingHasABound() throws {
        func nested(_ depth: Int, _ open: String, _ close: String) -> [UInt8] {
            let inner = String(repeating: open, count: depth - 1) + "1" + String(repeating: close, count: depth - 1)
            return Array(#"{"a":\#(inner),"model":"m"}"#.utf8)
        }
        for (open, close) in [("[", "]"), (#"{"b":"#, "}")] {
            let deepest = try TopLevelScan.scan(nested(128, open, close), for: Self.wanted)
            #expect(deepest.depth == 128)
            #expect(deepest.ranges[0] != nil)
            #expect(throws: TopLevelScan.Failure.self) {
                try TopLevelScan.scan(nested(129, open, close), for: Self.wanted)
            }
            #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(nested(129, open, close), depthMax: 128) }
            #expect(try JSONParser.parse(nested(128, open, close), depthMax: 128)["model"] == "m")
        }
        let mixed = String(repeating: #"[{"x":"#, count: 63) + "[1]" + String(repeating: "}]", count: 63)
        #expect(try TopLevelScan.scan(Array(#"{"a":\#(mixed)}"#.utf8), for: Self.wanted).depth == 128)
        #expect(throws: TopLevelScan.Failure.tooDeep(offset: 5)) {
            try TopLevelScan.scan(Array(#"{"a":[]}"#.utf8), for: Self.wanted, depthMax: 1)
        }
        let hostile = [UInt8](#"{"a":"#.utf8) + [UInt8](repeating: 0x5B, count: 10_000_000)
        #expect(throws: TopLevelScan.Failure.tooDeep(offset: 132)) { try TopLevelScan.scan(hostile, for: Self.wanted) }
    }

    @Test func longStringsOfAnyKind() throws {
        for filling in ["x", #"\\"#, #"\""#, #"\\\""#, "é", "][", #"\u0022"#] {
            let text = #"{"a":"\#(String(repeating: filling, count: 100_000))","model":"m"}"#
            #expect(try Self.found(text) == ["model": #""m""#])
            #expect(try JSONParser.parse(text)["model"] == "m")
        }
        for count in 0..<40 {
            let (name, value) = (String(repeating: "k", count: count), String(repeating: "\\", count: count * 2))
            let text = #"{"\#(name)":"\#(value)","n":1}"#
            let expected: [String: String] = ["n": "1"]
            #expect(try Self.found(text) == expected)
        }
        let many = "{" + (0..<20_000).map { #""k\#($0)":[\#($0)]"# }.joined(separator: ",") + #","model":"m"}"#
        #expect(try Self.found(many) == ["model": #""m""#])
    }

    @Test func onlyKnownNamesAreFound() throws {
        let long = String(repeating: "a", count: TopLevelScan.Wanted.nameBytesMax + 1)
        let names = (0..<70).map { "name\($0)" }
        #expect(TopLevelScan.Wanted(names).names.count == TopLevelScan.Wanted.namesMax)
        let scan = try TopLevelScan.scan(Array(#"{"\#(long)":1,"":2}"#.utf8), for: .init([long, ""]))
        #expect(scan.ranges == [nil, nil])
        #expect(try TopLevelScan.scan(Array("{}".utf8), for: .init([])).isEmpty)
    }

    @Test func aBodyIsChangedWhereItIsAskedToBeAndNowhereElse() throws {
        let bytes = Array(#" {"messages":[ 1 ],"model" : "gpt" ,"n":1} "#.utf8)
        let scan = try TopLevelScan.scan(bytes, for: Self.wanted)
        #expect(scan.value(of: "model", in: Self.wanted, bytes) == "gpt")
        #expect(scan.value(of: "user", in: Self.wanted, bytes) == nil)
        var edits = BodyEdits()
        #expect(edits.applied(to: bytes) == bytes)
        scan.set("model", to: "a \"b\"", in: Self.wanted, &edits)
        scan.set("stream_options", to: ["include_usage": true], in: Self.wanted, &edits)
        let changed = #" {"stream_options":{"include_usage":true},"messages":[ 1 ],"model" : "a \"b\"" ,"n":1} "#
        #expect(String(decoding: edits.applied(to: bytes), as: UTF8.self) == changed)
        #expect(bytes.count + edits.growth == changed.utf8.count)
        #expect(
            edits.pieces(of: bytes.count) == [
                .original(0..<2), .inserted(Array(#""stream_options":{"include_usage":true},"#.utf8)),
                .original(2..<29),
                .inserted(Array(#""a \"b\"""#.utf8)), .original(34..<43),
            ])
        var empty = BodyEdits()
        try TopLevelScan.scan(Array("{ }".utf8), for: Self.wanted).set("n", to: 1, in: Self.wanted, &empty)
        #expect(empty.applied(to: Array("{ }".utf8)) == Array(#"{"n":1 }"#.utf8))
    }

    @Test func editsDoNotOverlap() {
        var edits = BodyEdits()
        let taken = [(4..<6, [1]), (5..<7, [2]), (3..<5, [2]), (0..<9, [2]), (6..<6, [3]), (0..<4, [])].map {
            edits.replace($0.0, with: $0.1)
        }
        #expect(taken == [true, false, false, false, true, true])
        #expect(edits.applied(to: [10, 11, 12, 13, 14, 15, 16]) == [1, 3, 16])
        #expect(edits.applied(to: [10]) == [1, 3])
        var many = BodyEdits()
        for place in 0..<100 { many.replace(place..<place + 1, with: []) }
        #expect(many.growth == -BodyEdits.editsMax)
    }
}

@Suite struct RequestCheckTests {
    static let wanted = TopLevelScanTests.wanted

    @Test func sizeAndNesting() throws {
        #expect(RequestCheck.bytesMax == 33_554_432)
        #expect(TopLevelScan.depthMax == 128)
        var check = RequestCheck(Self.wanted)
        check.bytesMax = 8
        #expect(try check.check(Array(#"{"n":10}"#.utf8)).ranges[4] == 5..<7)
        #expect(throws: RequestCheck.Refusal.tooLarge(bytes: 9, limit: 8)) {
            try check.check(Array(#"{"n":100}"#.utf8))
        }
        #expect(throws: RequestCheck.Refusal.malformed(.notAnObject)) { try check.check(Array("[]".utf8)) }
        check.bytesMax = 100
        check.depthMax = 2
        #expect(throws: RequestCheck.Refusal.malformed(.tooDeep(offset: 6))) {
            try check.check(Array(#"{"a":[[]]}"#.utf8))
        }
        let full = [UInt8](#"{"a":""#.utf8) + [UInt8](repeating: 0x78, count: RequestCheck.bytesMax - 8) + [0x22, 0x7D]
        #expect(try RequestCheck(Self.wanted).check(full).depth == 1)
        #expect(throws: RequestCheck.Refusal.tooLarge(bytes: 33_554_433, limit: 33_554_432)) {
            try RequestCheck(Self.wanted).check(full + [0x20])
        }
    }

    @Test(
        arguments: [
            (#"{"a":"all is well"}"#, nil), (#"{"a":"Project BLACKBIRD is on"}"#, "project"),
            (#"{"a":[{"b":"black\u0062ird"}]}"#, "project"), (#"{"blackbird":1}"#, "project"),
            (#"{"a":"number 123-45-6789."}"#, "ssn"), (#"{"a":"number 123-456-789."}"#, nil),
            (#"{"a":"black","b":"bird"}"#, nil),
        ] as [(String, String?)])
    func declaredPatterns(body: String, name: String?) throws {
        let check = RequestCheck(
            Self.wanted,
            refused: [
                .init(name: "project", form: .literal("Blackbird")), .init(name: "nothing", form: .literal("")),
                .init(name: "ssn", form: .pattern(try BoundedPattern(#"\b\d{3}-\d{2}-\d{4}\b"#))),
            ])
        guard let name else {
            _ = try check.check(Array(body.utf8))
            return
        }
        #expect(throws: RequestCheck.Refusal.refused(name: name)) { try check.check(Array(body.utf8)) }
    }

    @Test func longTextsAreLookedThroughInWindows() throws {
        let pattern = RequestCheck.Refused(name: "key", form: .pattern(try BoundedPattern("secret-[0-9]{4}")))
        let check = RequestCheck(Self.wanted, refused: [pattern])
        // Across the end of the first window.
        let text = String(repeating: "é", count: RequestCheck.windowBytes / 2 - 3) + "secret-1234 and more"
        #expect(throws: RequestCheck.Refusal.refused(name: "key")) { try check.check(Array(#"{"a":"\#(text)"}"#.utf8)) }
        let harmless = String(repeating: "secret-123", count: 14_000)
        #expect(try check.check(Array(#"{"a":"\#(harmless)"}"#.utf8)).depth == 1)
    }

    @Test func whatCannotBeLookedThroughIsRefused() throws {
        let pattern = RequestCheck.Refused(name: "costly", form: .pattern(try BoundedPattern("(a+)+$")))
        let check = RequestCheck(Self.wanted, refused: [pattern], stepsMax: 1_000)
        let body = Array(#"{"b":"\#(String(repeating: "a", count: 5_000))!"}"#.utf8)
        #expect(throws: RequestCheck.Refusal.notChecked(name: "costly")) { try check.check(body) }
        // A body that the scan passes and the parser does not read.
        #expect(throws: RequestCheck.Refusal.self) { try check.check(Array(#"{"a":["\x"]}"#.utf8)) }
    }

    @Test(
        arguments: [
            ("", "", true), ("abc", "", true), ("", "a", false), ("abcabd", "abd", true), ("aaaaab", "aab", true),
            ("abcabc", "abd", false), ("x", "x", true), ("ab", "abc", false), ("abab", "bab", true),
        ])
    func search(text: String, word: String, isThere: Bool) {
        #expect(RequestCheck.contains(Array(text.utf8), Array(word.utf8)) == isThere)
    }

    @Test func onlySoManyAreDeclared() throws {
        let refused = (0...RequestCheck.refusedMax).map {
            RequestCheck.Refused(name: "\($0)", form: .literal("w\($0)w"))
        }
        let check = RequestCheck(Self.wanted, refused: refused)
        #expect(throws: RequestCheck.Refusal.refused(name: "99")) { try check.check(Array(#"{"a":"w99w"}"#.utf8)) }
        #expect(try check.check(Array(#"{"a":"w100w"}"#.utf8)).depth == 1)
    }
}
