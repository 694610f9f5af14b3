import TestSupport
import Testing

@testable import Kernel

struct JSONWriterTests {
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func whatIsWrittenReadsTheSame(_ seed: UInt64) throws {
        let documents = RandomJSON(entropy: SeededEntropy(seed: seed))
        for _ in 0..<100 {
            let value = documents.value(depth: 5)
            let bytes = value.bytes
            #expect(try JSONParser.parse(bytes) == value)
            #expect(try JSONParser.parse(value.prettyText) == value)
            // Equal strings may differ in their bytes, which matter to hashes: written again it is the same text.
            #expect(try JSONParser.parse(bytes).bytes == bytes)
        }
    }

    @Test(
        arguments: [
            (.null, "null"), (.bool(true), "true"), (.int(.min), "-9223372036854775808"), (.double(1), "1.0"),
            (.double(0.1), "0.1"), (.double(1e300), "1e+300"), (.double(.infinity), "null"), (.double(.nan), "null"),
            ("a\"\\/\n\r\t\u{1}\u{1F}é🦉", "\"a\\\"\\\\/\\n\\r\\t\\u0001\\u001fé🦉\""), ([], "[]"),
            ([1, [2]], "[1,[2]]"),
            ([:], "{}"), (["b": 1, "a": [:]], #"{"b":1,"a":{}}"#),
        ] as [(JSONValue, String)])
    func writes(_ value: JSONValue, _ text: String) {
        #expect(value.text == text)
    }

    @Test func writesForPeople() {
        let value: JSONValue = ["a": [1, [:], []], "b": ["c": .null]]
        #expect(
            value.prettyText == """
                {
                  "a": [
                    1,
                    {},
                    []
                  ],
                  "b": {
                    "c": null
                  }
                }
                """)
    }

    @Test func membersAreReplacedAddedAndRemoved() {
        var object = JSONObject()
        object["a"] = 1
        object["b"] = 2
        object["a"] = 3
        #expect(JSONValue.object(object).text == #"{"a":3,"b":2}"#)
        object["a"] = nil
        object["c"] = nil
        #expect(object.names == ["b"])
        #expect(object["a"] == nil)
    }

    @Test func numbersAreReadAsWhatTheyAre() {
        #expect(JSONValue.double(3).int == 3)
        #expect(JSONValue.double(3.5).int == nil)
        #expect(JSONValue.double(1e300).int == nil)
        #expect(JSONValue.int(3).double == 3)
        #expect(JSONValue.string("3").int == nil)
    }
}
