import Testing

@testable import Control

@Suite("What answers of receivers say of addresses and keys")
struct ReceiverRedactionTests {
    private static let redaction = ReceiverRedaction(
        secrets: ["k3y-of-mine"],
        addresses: ["https://hooks.example.org/services/T000/B111/s3cr%2Ft?token=t0ken-1&v=2"],
        isHostSecret: true)

    @Test(
        "are taken out, whole, in part, and in other spellings",
        arguments: [
            ("https://hooks.example.org/services/T000/B111/s3cr%2Ft?token=t0ken-1&v=2", "…"),
            ("cannot POST /services/T000/B111/s3cr%2Ft", "cannot POST …"),
            (#"{"path":"\/services\/T000\/B111\/s3cr%2Ft"}"#, #"{"path":"\/…\/…\/…\/…"}"#),
            ("no team T000, no hook B111/s3cr/t", "no team …, no hook …/…"), ("T0KEN-1 is wrong", "… is wrong"),
            ("key k3y-of-mine", "key …"), ("key azN5LW9mLW1pbmU=", "key …"), ("HOOKS.example.org is gone", "… is gone"),
            // What was cut off at the end of an answer.
            ("cannot take k3y-of", "cannot take …"), ("v=2 is fine", "v=2 is fine"), ("ok", "ok"), ("", ""),
        ])
    func taken(_ answer: String, _ expected: String) { #expect(Self.redaction(answer) == expected) }

    @Test("the host of an address that stands in the settings is no secret")
    func host() {
        let redaction = ReceiverRedaction(
            secrets: [], addresses: ["https://hooks.example.org/x/long-one"], isHostSecret: false)
        #expect(redaction("hooks.example.org has no long-one at /x") == "hooks.example.org has no … at /x")
    }
}
